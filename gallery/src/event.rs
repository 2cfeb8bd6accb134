//! What the audit log tells of each verb. An event names people by their ids and never holds a feature.

use crate::{
    authority::{Actor, Ground, VerbName},
    budget::Misuse,
    decision::VerificationAnswer,
    digest::ProbeDigest,
    findings::{Findings, Results},
    grant::Content,
    handling::{Instruction, Visibility},
    id::{
        CalibrationId, EncounterId, GenerationId, GrantId, JobId, LookupId, RecordSequence, SubjectId,
        WatchlistId,
    },
    job::{Kind, State},
    known_log::FormerAnchor,
    law::{AccessRefusal, AuthorisationReference, Nation, OwnReference},
    sample::Shortcoming,
    subject::Listing,
    timestamp::Timestamp,
};
use matcher::template::ModelId;
use serde::{Deserialize, Serialize};

/// A leaf of the audit log, as it is written: JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// The event's number in the record, if it is one of the record's.
    pub sequence: Option<RecordSequence>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum What {
    /// A lookup was answered.
    Lookup {
        /// On which ground.
        ground: Ground,
        /// What was searched with.
        probe: ProbeDigest,
        /// How many candidates were asked for.
        limit: u32,
        /// What came of it.
        results: Results,
    },
    /// A lookup was authorised that had been made without.
    Authorise {
        /// Which.
        lookup: LookupId,
        /// By which authorisation.
        authorisation: AuthorisationReference,
        /// What had been found.
        findings: Findings,
    },
    /// Lookups were not authorised in time, and their results erased.
    EraseResults {
        /// Which.
        lookups: Vec<LookupId>,
    },
    /// An owner read what it is told.
    ReadNotices {
        /// After which number.
        after: u64,
        /// How many.
        count: u64,
    },
    /// A verification was answered.
    Verify {
        /// On which ground.
        ground: Ground,
        /// What was compared.
        probe: ProbeDigest,
        /// All that was answered.
        answer: VerificationAnswer,
        /// The best score of the subject's references.
        score: f32,
        /// What of it the searcher was shown: less than all looks as if nobody were there.
        visibility: Visibility,
    },
    /// A search was not made, for want of a good image: neither a hit nor that there is none.
    Decline {
        /// What for.
        attempted: VerbName,
        /// The watchlists asked for.
        watchlists: Vec<WatchlistId>,
        /// The subject asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<SubjectId>,
        /// On which ground.
        ground: Ground,
        /// SHA-256 of salt and the image's SHA-256.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<String>,
        /// Why.
        reason: Shortcoming,
        /// What the caller was told to do.
        advice: Vec<String>,
    },
    /// A template was made of an image, and given out.
    Extract {
        /// Which.
        template: ProbeDigest,
    },
    /// One subject was enrolled, or an encounter added to one.
    Enrol {
        /// What came onto the record.
        enrolled: Enrolled,
        /// Merkle root over the salted hashes of the encounters.
        records_root: String,
    },
    /// Many rows were enrolled in one batch.
    EnrolBatch {
        /// Rows that came onto the record.
        enrolled: u64,
        /// Rows that were on record already.
        already: u64,
        /// Rows that were refused.
        refused: u64,
        /// The watchlists of the rows.
        watchlists: Vec<WatchlistId>,
        /// Merkle root over the salted hashes of the rows that came onto the record, in their order: subject,
        /// encounter, watchlist, category and features.
        records_root: String,
    },
    /// A subject was retired.
    Retire {
        /// Who.
        subject: SubjectId,
    },
    /// A contested subject was taken out of the search.
    Restrict {
        /// Who.
        subject: SubjectId,
    },
    /// A restriction was lifted.
    Lift {
        /// Who.
        subject: SubjectId,
    },
    /// An entry was put right.
    Rectify {
        /// Whose.
        subject: SubjectId,
        /// On which watchlist.
        watchlist: WatchlistId,
        /// As it was.
        former: Listing,
        /// As it is.
        listing: Listing,
    },
    /// Somebody was given access to what is held of them.
    GiveAccess {
        /// Who.
        subject: SubjectId,
    },
    /// Somebody was refused access to what is held of them.
    RefuseAccess {
        /// Who.
        subject: SubjectId,
        /// Why, as the law has it.
        reason: AccessRefusal,
        /// What was said.
        words: Option<Instruction>,
    },
    /// Encounters were found to be another subject's.
    Move {
        /// Whose they were.
        from: SubjectId,
        /// Whose they are.
        to: SubjectId,
        /// Which.
        encounters: Vec<EncounterId>,
    },
    /// A subject was found to be another.
    Merge {
        /// Who is no more on record as such.
        from: SubjectId,
        /// Who it is.
        into: SubjectId,
        /// Its encounters.
        encounters: Vec<EncounterId>,
    },
    /// A subject is to be erased, and who was merged into it; nobody finds it any more.
    OrderErasure {
        /// Who.
        subject: SubjectId,
    },
    /// A subject's key was destroyed and its rows were deleted.
    Erase {
        /// Who.
        subject: SubjectId,
    },
    /// A subject's record was read.
    Inspect {
        /// Who.
        subject: SubjectId,
    },
    /// An event was read.
    ReadLog {
        /// Which leaf.
        leaf: u64,
    },
    /// The legal time of the events of months is over: nobody can read them any more.
    ForgetEvents {
        /// Which months.
        months: Vec<String>,
    },
    /// Features were exported.
    Export {
        /// Of which watchlist.
        watchlist: WatchlistId,
        /// How many encounters.
        encounters: u64,
    },
    /// The references of watchlists were compared with each other.
    Dedup {
        /// Which.
        watchlists: Vec<WatchlistId>,
        /// From which score on two subjects were reported, if it was asked for.
        threshold: Option<f32>,
    },
    /// Entries reached the end of their retention.
    Expire {
        /// Who, and on which watchlist.
        entries: Vec<(SubjectId, WatchlistId)>,
    },
    /// A model profile came into use.
    AddModel {
        /// Which.
        model: ModelId,
        /// Number of features.
        dimension: u32,
        /// Does it have a population mean?
        has_mean: bool,
    },
    /// What scores of a model mean was measured, or brought along.
    Calibrate {
        /// Named in certificates from now on.
        calibration: CalibrationId,
        /// Of which model's scores.
        model: ModelId,
        /// References that were compared with.
        references: u64,
        /// Subjects whose references were compared with all others.
        probes: u64,
        /// Subjects who may be on record under two names, and count less.
        suspected: u64,
        /// SHA-256 of its JSON.
        sha256: String,
        /// Was it measured elsewhere?
        imported: bool,
    },
    /// A watchlist was made.
    Publish {
        /// Which.
        watchlist: WatchlistId,
        /// Its name.
        name: String,
    },
    /// Record and log were copied, and perhaps the keys.
    Backup {
        /// Up to which event of the record.
        as_of: RecordSequence,
        /// The keys, too?
        with_keys: bool,
    },
    /// The folder was made from a backup. What came after the backup is lost.
    Restore {
        /// The backup's last event.
        as_of: RecordSequence,
        /// The last event that anyone knew of.
        known: RecordSequence,
        /// Leaves of the log after the backup's.
        leaves: u64,
        /// When the backup was made.
        made_at: Timestamp,
    },
    /// The clock went back, and somebody says that it is right now.
    AcceptClock {
        /// What it said before.
        known: Timestamp,
    },
    /// Whose retention was over was erased.
    Retention {
        /// How many subjects.
        erased: u64,
        /// Watchlists on which nobody was, for want of a confirmation.
        held_back: Vec<WatchlistId>,
    },
    /// Long work was asked for.
    BeginJob {
        /// Which.
        job: JobId,
        /// What is to be done.
        kind: Kind,
    },
    /// Long work has ended.
    EndJob {
        /// Which.
        job: JobId,
        /// What has become of it.
        state: State,
        /// What came of it.
        outcome: String,
    },
    /// Whoever holds the folder appointed a nation's officers.
    AppointOfficers {
        /// Of which nation.
        nation: Nation,
        /// Their grants.
        grants: Vec<GrantId>,
    },
    /// An officer proposed a grant.
    ProposeGrant {
        /// Which.
        grant: GrantId,
        /// What, and to whom.
        content: Content,
        /// By which digest the caller will be known.
        known_by: Option<String>,
        /// Until when.
        ends_at: Timestamp,
    },
    /// Another officer approved it.
    ApproveGrant {
        /// Which.
        grant: GrantId,
    },
    /// A grant was taken back.
    RevokeGrant {
        /// Which.
        grant: GrantId,
    },
    /// A generation was put in place of another.
    Activate {
        /// Which.
        generation: GenerationId,
        /// The one before, if there was one.
        former: Option<GenerationId>,
        /// Up to which event of the record its files were built; what came since is searched beside them.
        built_as_of: RecordSequence,
        /// The Merkle root over the digests of its files.
        root: String,
    },
    /// The log was anchored outside of the data folder.
    Anchor {
        /// The anchor that it replaced.
        former: FormerAnchor,
    },
    /// A permit was refused.
    Refused {
        /// What for.
        attempted: VerbName,
        /// The watchlists asked for.
        watchlists: Vec<WatchlistId>,
        /// The subject asked for.
        subject: Option<SubjectId>,
        /// On which ground.
        ground: Option<Ground>,
        /// Why.
        why: String,
        /// What the caller was stopped for, if it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        misuse: Option<Misuse>,
    },
}

/// What came onto the record with one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// Who.
    pub subject: SubjectId,
    /// The owner's own name for it.
    pub reference: OwnReference,
    /// The encounters added.
    pub encounters: Vec<EncounterId>,
    /// The watchlists entered, why, and what the owner says of it.
    pub entries: Vec<(WatchlistId, Listing)>,
}

impl Event {
    /// The payload of its leaf.
    pub fn payload(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an event has only text keys")
    }
}
