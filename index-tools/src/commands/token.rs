//! `limen-index token`

use crate::{error::Failure, place::Folder};
use clap::{ArgGroup, Args, Subcommand};
use gallery::{
    ambient::Ambient,
    authority::{Grant, Reach, VerbName},
    id::{AgencyId, WatchlistId},
    law::{Nation, OwnReference, Purpose},
    token::{FILE_NAME, Tokens},
};
use std::path::PathBuf;

/// Bearer tokens: who may call a server, and for what. There is none by default.
///
/// A running server reads the file again when it has changed.
#[derive(Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a token and print it: the only time that it is seen.
    Add(Add),
    /// List the names of all tokens.
    List(TokenFile),
    /// Take a token back.
    Revoke {
        #[command(flatten)]
        file: TokenFile,
        /// Name of the token.
        #[arg(long)]
        name: OwnReference,
    },
}

#[derive(Args)]
struct TokenFile {
    #[command(flatten)]
    at: Folder,
    /// Token file, if it is not the folder's own.
    #[arg(long)]
    tokens: Option<PathBuf>,
}

impl TokenFile {
    fn path(&self) -> PathBuf {
        self.tokens.clone().unwrap_or_else(|| self.at.folder.join(FILE_NAME))
    }
}

#[derive(Args)]
#[command(group(ArgGroup::new("reach").required(true).args(["own", "watchlists"])))]
struct Add {
    #[command(flatten)]
    file: TokenFile,
    /// Name of the token: who holds it.
    #[arg(long)]
    name: OwnReference,
    /// Agency that the holder belongs to, as agy_…; a new one if absent.
    #[arg(long)]
    agency: Option<AgencyId>,
    /// Nation for which the holder acts.
    #[arg(long)]
    nation: Nation,
    /// What the holder may do (may be given several times).
    #[arg(long = "verb", required = true, value_parser = verb)]
    verbs: Vec<VerbName>,
    /// Reach all watchlists of the holder's nation, also those made later.
    #[arg(long)]
    own: bool,
    /// Reach this watchlist, as wl_… (may be given several times).
    #[arg(long = "watchlist")]
    watchlists: Vec<WatchlistId>,
    /// Purpose for which the holder may search (may be given several times).
    #[arg(long = "purpose")]
    purposes: Vec<Purpose>,
}

fn verb(text: &str) -> Result<VerbName, String> {
    let known: Vec<&str> = VerbName::ALL.iter().map(|verb| verb.as_str()).collect();
    let found = VerbName::ALL.iter().find(|verb| verb.as_str() == text);
    found.copied().ok_or_else(|| format!("known are: {}", known.join(", ")))
}

impl Token {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match &self.action {
            Action::Add(add) => add.run(),
            Action::List(file) => {
                Tokens::load(&file.path())?.names().for_each(|name| println!("{name}"));
                Ok(())
            }
            Action::Revoke { file, name } => {
                let _held = Tokens::hold(&file.path())?;
                let mut tokens = Tokens::load(&file.path())?;
                if !tokens.revoke(name) {
                    return Err(Failure::Argument(format!("there is no token named {name}")));
                }
                Ok(tokens.save(&file.path())?)
            }
        }
    }
}

impl Add {
    fn run(&self) -> Result<(), Failure> {
        let ambient = Ambient::system();
        let reach =
            if self.own { Reach::Own } else { Reach::Listed(self.watchlists.iter().copied().collect()) };
        let grant = Grant {
            verbs: self.verbs.iter().copied().collect(),
            watchlists: reach,
            purposes: self.purposes.iter().copied().collect(),
        };
        let agency = self.agency.unwrap_or_else(|| AgencyId::mint(&ambient));
        let path = self.file.path();
        let _held = Tokens::hold(&path)?;
        let mut tokens = Tokens::load(&path)?;
        let token = tokens.add(&ambient, self.name.clone(), agency, self.nation.clone(), grant)?;
        tokens.save(&path)?;
        println!("{token}");
        Ok(())
    }
}
