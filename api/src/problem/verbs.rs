//! What each verb's errors are to a caller: one mapping, by exhaustive match.

use super::{Kind, Problem};
use gallery::{
    GenerationError, SubjectChangeError, access::AccessError, administer::AdministerError,
    authorise::AuthoriseError, calibrate::CalibrateError, dedup::DedupError, enrol::EnrolError,
    evidence::EvidenceError, export::ExportError, extract::ExtractError, inspect::InspectError,
    jobs::JobError, lookup::LookupError, publish::PublishError, rebuild::RebuildError,
    retention::RetentionError, verify::VerifyError,
};

impl From<LookupError> for Problem {
    fn from(error: LookupError) -> Self {
        let detail = error.to_string();
        match error {
            LookupError::Refused(refusal) => Self::refused(&refusal, |index| format!("watchlists[{index}]")),
            LookupError::WatchlistCount => Self::of(Kind::Invalid, "watchlists", detail),
            LookupError::WatchlistRepeated { index } => {
                Self::of(Kind::Invalid, format!("watchlists[{index}]"), detail)
            }
            LookupError::Model { .. } => Self::of(Kind::Invalid, "probe.model", detail),
            LookupError::Probe(_) => Self::of(Kind::Invalid, "probe.features", detail),
            LookupError::Declined(declined) => (*declined).into(),
            LookupError::Looser { .. } => Self::of(Kind::Invalid, "threshold", detail),
            LookupError::Uncalibrated(_) => Self::new(Kind::Uncalibrated, detail),
            LookupError::Beyond(_) => Self::of(Kind::Invalid, "fpir", detail),
            LookupError::Limit => Self::of(Kind::Invalid, "limit", detail),
            LookupError::Key(error) => error.into(),
            LookupError::Node(error) => error.into(),
        }
    }
}

impl From<ExtractError> for Problem {
    fn from(error: ExtractError) -> Self {
        match error {
            ExtractError::Refused(refusal) => Self::refused(&refusal, |_| "Authorization".to_owned()),
            ExtractError::Node(error) => error.into(),
        }
    }
}

impl From<AuthoriseError> for Problem {
    fn from(error: AuthoriseError) -> Self {
        let detail = error.to_string();
        match error {
            AuthoriseError::Refused(refusal) => Self::refused(&refusal, |_| "id".to_owned()),
            AuthoriseError::Unknown => Self::of(Kind::Unknown, "id", detail),
            AuthoriseError::Key(error) => error.into(),
            AuthoriseError::Node(error) => error.into(),
        }
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Subject => Self::of(Kind::Unknown, "subject", error),
            VerifyError::Lookup(LookupError::Refused(refusal)) => {
                Self::refused(&refusal, |_| "watchlist".to_owned())
            }
            VerifyError::Lookup(error) => error.into(),
        }
    }
}

impl From<EnrolError> for Problem {
    fn from(error: EnrolError) -> Self {
        let detail = error.to_string();
        match error {
            EnrolError::Refused(refusal) => {
                Self::refused(&refusal, |index| format!("entries[{index}].watchlist"))
            }
            EnrolError::WatchlistCount => Self::of(Kind::Invalid, "entries", detail),
            EnrolError::WatchlistRepeated { index } | EnrolError::NoReference { index, .. } => {
                Self::of(Kind::Invalid, format!("entries[{index}].watchlist"), detail)
            }
            EnrolError::Category { index, .. } => {
                Self::of(Kind::Invalid, format!("entries[{index}].category"), detail)
            }
            EnrolError::EncounterCount => Self::of(Kind::Invalid, "encounters", detail),
            EnrolError::Model { index, .. } | EnrolError::OffList { index, .. } => {
                Self::of(Kind::Invalid, format!("encounters[{index}].template.model"), detail)
            }
            EnrolError::Features { index, .. } => {
                Self::of(Kind::Invalid, format!("encounters[{index}].template.features"), detail)
            }
            EnrolError::Quality { index, .. } => {
                Self::of(Kind::Invalid, format!("encounters[{index}].template.image"), detail)
            }
            EnrolError::Exists { encounter: None } => Self::of(Kind::Exists, "reference", detail),
            EnrolError::Exists { encounter: Some(index) } => {
                Self::of(Kind::Exists, format!("encounters[{index}].reference"), detail)
            }
            EnrolError::Unknown => Self::of(Kind::Unknown, "id", detail),
            EnrolError::Retired => Self::of(Kind::Exists, "id", detail),
            EnrolError::Key(error) => error.into(),
            EnrolError::Node(error) => error.into(),
        }
    }
}

impl Problem {
    /// For a request that is one encounter: its fields have no index.
    pub(crate) fn of_one_encounter(mut self) -> Self {
        self.field = self.field.map(|field| field.replace("encounters[0].", ""));
        self
    }
}

impl Problem {
    /// For a request of rows: each is entry and encounter in one.
    pub(crate) fn of_rows(mut self) -> Self {
        let named = |field: String| field.replace("entries[", "rows[").replace("encounters[", "rows[");
        self.field = self.field.map(named);
        self
    }
}

impl From<SubjectChangeError> for Problem {
    fn from(error: SubjectChangeError) -> Self {
        let detail = error.to_string();
        match error {
            SubjectChangeError::Refused(refusal) => Self::refused(&refusal, |_| "id".to_owned()),
            SubjectChangeError::Unknown => Self::of(Kind::Unknown, "id", detail),
            SubjectChangeError::State(_) => Self::of(Kind::Exists, "id", detail),
            SubjectChangeError::Key(error) => error.into(),
            SubjectChangeError::Node(error) => error.into(),
        }
    }
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Refused(refusal) => Self::refused(&refusal, |_| "id".to_owned()),
            ExportError::Sink(_) => Self::new(Kind::Timeout, error),
            ExportError::Node(error) => error.into(),
        }
    }
}

impl From<DedupError> for Problem {
    fn from(error: DedupError) -> Self {
        match error {
            DedupError::Refused(refusal) => Self::refused(&refusal, |index| format!("watchlists[{index}]")),
            DedupError::Sink(_) => Self::new(Kind::Timeout, error),
            DedupError::Uncalibrated(_) => Self::of(Kind::Invalid, "threshold", error),
            DedupError::Unread(_) => Self::fault(&error),
            DedupError::Node(error) => error.into(),
        }
    }
}

impl From<RetentionError> for Problem {
    fn from(error: RetentionError) -> Self {
        let detail = error.to_string();
        match error {
            RetentionError::Refused(refusal) => Self::refused(&refusal, |_| "id".to_owned()),
            RetentionError::Confirmed { list, .. } => {
                Self::of(Kind::Exists, format!("confirmed.{list}"), detail)
            }
            RetentionError::Node(error) => error.into(),
        }
    }
}

impl From<AdministerError> for Problem {
    fn from(error: AdministerError) -> Self {
        let detail = error.to_string();
        match error {
            AdministerError::Refused(refusal) => {
                Self::refused(&refusal, |index| format!("content.watchlists[{index}]"))
            }
            AdministerError::Holder(error) => {
                Self::of(Kind::Invalid, format!("content.{}", error.field()), detail)
            }
            AdministerError::Days => Self::of(Kind::Invalid, "days", detail),
            AdministerError::OfficersToken => Self::of(Kind::Invalid, "known_by", detail),
            AdministerError::Own => Self::of(Kind::Invalid, "content.nation", detail),
            AdministerError::Exists => Self::of(Kind::Exists, "content.name", detail),
            AdministerError::Unknown => Self::of(Kind::Unknown, "id", detail),
            AdministerError::Decided | AdministerError::HasOfficers => Self::of(Kind::Exists, "id", detail),
            AdministerError::Node(error) => error.into(),
        }
    }
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        let detail = error.to_string();
        match error {
            JobError::Refused(refusal) => Self::refused(&refusal, |_| "id".to_owned()),
            JobError::Unknown => Self::of(Kind::Unknown, "id", detail),
            JobError::NoPlace => Self::new(Kind::Unknown, detail),
            JobError::Busy(_) | JobError::Ended => Self::new(Kind::Exists, detail),
            JobError::Key(error) => error.into(),
            JobError::Node(error) => error.into(),
        }
    }
}

impl From<CalibrateError> for Problem {
    fn from(error: CalibrateError) -> Self {
        let detail = error.to_string();
        match error {
            CalibrateError::Refused(refusal) => Self::refused(&refusal, |_| "id".to_owned()),
            CalibrateError::Model(_) => Self::of(Kind::Unknown, "model", detail),
            CalibrateError::Fit { .. } | CalibrateError::Ended => Self::new(Kind::Exists, detail),
            CalibrateError::Unsound => Self::new(Kind::Invalid, detail),
            CalibrateError::Unread(_) => Self::fault(&error),
            CalibrateError::Node(error) => error.into(),
        }
    }
}

impl From<RebuildError> for Problem {
    fn from(error: RebuildError) -> Self {
        let detail = error.to_string();
        match error {
            RebuildError::Refused(refusal) => Self::refused(&refusal, |_| "id".to_owned()),
            RebuildError::NoFormer | RebuildError::Generation(GenerationError::Missing(_)) => {
                Self::of(Kind::Unknown, "id", detail)
            }
            RebuildError::Busy => Self::new(Kind::Exists, detail),
            RebuildError::Build(_) | RebuildError::Generation(_) | RebuildError::Differs { .. } => {
                Self::fault(&detail)
            }
            RebuildError::Node(error) => error.into(),
        }
    }
}

impl From<InspectError> for Problem {
    fn from(error: InspectError) -> Self {
        let detail = error.to_string();
        match error {
            InspectError::Refused(refusal) => Self::refused(&refusal, |_| "id".to_owned()),
            InspectError::Unknown => Self::new(Kind::Unknown, detail),
            InspectError::Node(error) => error.into(),
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Inspect(error) => error.into(),
            AccessError::Log(error) => error.into(),
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        let detail = error.to_string();
        match error {
            PublishError::Refused(refusal) => Self::refused(&refusal, |_| "name".to_owned()),
            PublishError::Policy(policy) => Self::of(Kind::Invalid, policy.field(), detail),
            PublishError::Model(_) => Self::of(Kind::Invalid, "model", detail),
            PublishError::Exists => Self::of(Kind::Exists, "name", detail),
            PublishError::Key(error) => error.into(),
            PublishError::Node(error) => error.into(),
        }
    }
}

impl From<EvidenceError> for Problem {
    fn from(error: EvidenceError) -> Self {
        let detail = error.to_string();
        match error {
            EvidenceError::Refused(refusal) => Self::refused(&refusal, |_| "index".to_owned()),
            EvidenceError::Unknown => Self::of(Kind::Unknown, "index", detail),
            EvidenceError::Foreign => Self::of(Kind::Refused, "index", detail),
            EvidenceError::Future => Self::of(Kind::Invalid, "before", detail),
            EvidenceError::Erased => Self::of(Kind::Erased, "index", detail),
            EvidenceError::Tiles(_) | EvidenceError::Log(_) => Self::fault(&detail),
            EvidenceError::Node(error) => error.into(),
        }
    }
}
