//! What an event is in the words of Article 25(1) of Directive (EU) 2016/680: of each kind of processing, logs are kept.

use crate::event::What;

crate::law::words! {
    /// A kind of processing.
    Operation ("operation") {
        /// Data come on record.
        Collection = "collection",
        /// Data are changed, hidden from searches, or shown again.
        Alteration = "alteration",
        /// Data are searched, compared with or read by those who work with them.
        Consultation = "consultation",
        /// Data leave: to the person whom they are about, or as a whole.
        Disclosure = "disclosure",
        /// Data of several records are brought together.
        Combination = "combination",
        /// Data, or what was found of them, end.
        Erasure = "erasure",
        /// Nobody's data are processed: the node, its watchlists, its grants; and what was refused.
        Upkeep = "upkeep",
    }
}

impl Operation {
    /// What an event is.
    pub fn of(what: &What) -> Self {
        match what {
            What::Enrol { .. } | What::EnrolBatch { .. } => Self::Collection,
            What::Retire { .. }
            | What::Restrict { .. }
            | What::Lift { .. }
            | What::Rectify { .. }
            | What::Expire { .. } => Self::Alteration,
            What::Lookup { .. }
            | What::Authorise { .. }
            | What::Verify { .. }
            | What::Inspect { .. }
            | What::ReadNotices { .. }
            | What::Extract { .. }
            | What::ReadLog { .. }
            | What::RefuseAccess { .. } => Self::Consultation,
            What::GiveAccess { .. } | What::Export { .. } => Self::Disclosure,
            What::Move { .. } | What::Merge { .. } | What::Dedup { .. } | What::Calibrate { .. } => {
                Self::Combination
            }
            What::OrderErasure { .. }
            | What::Erase { .. }
            | What::EraseResults { .. }
            | What::Retention { .. }
            | What::ForgetEvents { .. } => Self::Erasure,
            What::AddModel { .. }
            | What::Publish { .. }
            | What::Backup { .. }
            | What::Restore { .. }
            | What::AcceptClock { .. }
            | What::BeginJob { .. }
            | What::EndJob { .. }
            | What::AppointOfficers { .. }
            | What::ProposeGrant { .. }
            | What::ApproveGrant { .. }
            | What::RevokeGrant { .. }
            | What::Activate { .. }
            | What::Anchor { .. }
            | What::Decline { .. }
            | What::Refused { .. } => Self::Upkeep,
        }
    }
}
