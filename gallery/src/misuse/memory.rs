//! What is remembered of callers' searches, and whom it stops. No disk here.

use crate::{
    budget::{MEETINGS, MEMORY_HOURS, Misuse, RELATED_PROBES},
    id::SubjectId,
    timestamp::Timestamp,
};
use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
};

/// Bits of a sketch.
pub(super) const BITS: usize = 256;
/// Two probes are alike when at most so many bits of their sketches differ: 99.7 % of those with a cosine of 0.7, 88 % at 0.6, 2 % at 0.34 (which
/// one in a thousand pairs of strangers reaches), 2 in 100 million at 0.
const ALIKE: u32 = 84;
/// The hours of a budget, and for which a probe is remembered that is like no other.
const RECENT_HOURS: i64 = 1;
/// What is remembered of all callers together: some 60 MB.
pub(super) const MOST: usize = 1 << 20;
/// Meetings of one caller that are remembered.
const MOST_MEETINGS: usize = 1 << 16;

/// A caller, as the memory knows it.
pub(super) type CallerKey = [u8; 16];

/// A template, as the memory knows it: the same one again tells nobody anything.
pub(super) type Digest = [u8; 8];

/// The signs of a template's products with [`BITS`] secret directions: two differ in as many as their angle is wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sketch(pub(super) [u64; BITS / 64]);

impl Sketch {
    fn is_like(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>() <= ALIKE
    }
}

/// A probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) digest: Digest,
    pub(super) sketch: Sketch,
    /// Was there another like it?
    pub(super) related: bool,
}

/// What is remembered of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// It searched with a probe.
    Searched(Seen),
    /// It met a subject.
    Met(Meeting),
}

/// Of a caller and a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meeting {
    pub(super) at: Timestamp,
    /// Of the probe.
    pub(super) digest: Digest,
    pub(super) subject: SubjectId,
    /// Was it shown the subject, or did it ask for it by name? Or is the probe only like one with which it was so?
    pub(super) direct: bool,
}

/// Why a search is not made, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) misuse: Misuse,
    pub(crate) until: Timestamp,
}

/// What a caller asks.
pub(super) struct Ask {
    pub(super) searches_per_hour: u32,
    pub(super) digest: Digest,
    pub(super) sketch: Sketch,
    /// Whom it asks for.
    pub(super) subject: Option<SubjectId>,
}

/// Oldest first, each.
#[derive(Default)]
struct Past {
    recent: VecDeque<Seen>,
    /// Probes that were like others, and are not recent.
    kept: VecDeque<Seen>,
    met: VecDeque<Meeting>,
    /// It met somebody too often.
    stopped_until: Option<Timestamp>,
}

/// What is remembered of all callers.
#[derive(Default)]
pub(super) struct Memory {
    callers: HashMap<CallerKey, Past>,
    count: usize,
}

impl Past {
    fn len(&self) -> usize {
        self.recent.len() + self.kept.len() + self.met.len()
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some(seen) = self.recent.pop_front_if(|seen| seen.at.plus_hours(RECENT_HOURS) <= now) {
            if seen.related {
                self.kept.push_back(seen);
            }
        }
        while self.kept.pop_front_if(|seen| seen.at.plus_hours(MEMORY_HOURS) <= now).is_some() {}
        while self.met.pop_front_if(|met| met.at.plus_hours(MEMORY_HOURS) <= now).is_some() {}
    }

    /// Other probes like this one.
    fn related(&self, digest: Digest, sketch: &Sketch) -> impl Iterator<Item = &Seen> {
        let seen = self.kept.iter().chain(&self.recent);
        seen.filter(move |seen| seen.sketch.is_like(sketch) && seen.digest != digest)
    }

    fn search(&mut self, seen: Seen) {
        if seen.related {
            let all = self.recent.iter_mut();
            all.filter(|other| other.sketch.is_like(&seen.sketch)).for_each(|other| other.related = true);
        }
        self.recent.push_back(seen);
    }

    /// Whom it meets who searches with a probe like others.
    fn met_by(&self, ask: &Ask, seen: &Seen) -> Vec<Meeting> {
        let mut others = HashSet::new();
        if seen.related {
            others.extend(self.related(ask.digest, &ask.sketch).map(|seen| seen.digest));
        }
        let met = self.met.iter().filter(|met| met.direct && others.contains(&met.digest));
        let subjects: BTreeSet<_> = met.map(|met| met.subject).collect();
        let near = subjects.into_iter().map(|subject| (subject, false));
        let all = near.chain(ask.subject.map(|subject| (subject, true)));
        all.map(|(subject, direct)| Meeting { at: seen.at, digest: ask.digest, subject, direct }).collect()
    }

    /// What it means for this probe, and for those like it, that a subject is shown.
    fn met_with(&self, digest: Digest, subject: SubjectId, now: Timestamp) -> Vec<Meeting> {
        let meeting = |digest, direct| Meeting { at: now, digest, subject, direct };
        let mut met = vec![meeting(digest, true)];
        if let Some(seen) = self.recent.iter().rev().find(|seen| seen.digest == digest) {
            met.extend(self.related(digest, &seen.sketch).map(|other| meeting(other.digest, false)));
        }
        met
    }

    fn meet(&mut self, met: Meeting) {
        let mut probes = 0;
        for other in self.met.iter_mut().filter(|other| other.subject == met.subject) {
            if other.digest == met.digest {
                other.direct |= met.direct;
                return;
            }
            probes += 1;
        }
        self.met.push_back(met);
        if self.met.len() > MOST_MEETINGS {
            self.met.pop_front();
        }
        if let Some(past) = (probes + 1_usize).checked_sub(MEETINGS) {
            let mut all = self.met.iter().filter(|other| other.subject == met.subject);
            let first = all.nth(past).map_or(met.at, |other| other.at);
            self.stopped_until = self.stopped_until.max(Some(first.plus_hours(MEMORY_HOURS)));
        }
    }

    fn stopped(&self, now: Timestamp) -> Result<(), Stop> {
        match self.stopped_until.filter(|until| now < *until) {
            Some(until) => Err(Stop { misuse: Misuse::Meetings, until }),
            None => Ok(()),
        }
    }

    fn check(&self, ask: &Ask, now: Timestamp) -> Result<Seen, Stop> {
        self.stopped(now)?;
        let past = self.recent.len().checked_sub(ask.searches_per_hour as usize);
        if let Some(first) = past.and_then(|past| self.recent.get(past)) {
            return Err(Stop { misuse: Misuse::Searches, until: first.at.plus_hours(RECENT_HOURS) });
        }
        // When each was searched with last, the latest first.
        let related = self.related(ask.digest, &ask.sketch).map(|seen| (seen.digest, seen.at));
        let last: HashMap<_, _> = related.collect();
        let mut last: Vec<_> = last.into_values().collect();
        last.sort_unstable_by_key(|at| Reverse(*at));
        if let Some(first) = last.get(RELATED_PROBES - 1) {
            return Err(Stop { misuse: Misuse::RelatedProbes, until: first.plus_hours(MEMORY_HOURS) });
        }
        Ok(Seen { at: now, digest: ask.digest, sketch: ask.sketch, related: !last.is_empty() })
    }

    fn forget_oldest(&mut self) {
        if self.kept.pop_front().or_else(|| self.recent.pop_front()).is_none() {
            self.met.pop_front();
        }
    }
}

impl Memory {
    /// What is remembered from now on, if the caller may search.
    pub(super) fn admit(&mut self, caller: CallerKey, ask: &Ask, now: Timestamp) -> Result<Vec<Deed>, Stop> {
        self.change(caller, |past| {
            past.forget(now);
            let seen = past.check(ask, now)?;
            let met = past.met_by(ask, &seen).into_iter().map(Deed::Met);
            let deeds: Vec<_> = [Deed::Searched(seen)].into_iter().chain(met).collect();
            deeds.iter().for_each(|deed| past.take(*deed));
            Ok(deeds)
        })
    }

    /// What is remembered from now on, if the caller may be shown that the probe found these subjects.
    pub(super) fn meet(
        &mut self,
        caller: CallerKey,
        digest: Digest,
        subjects: &[SubjectId],
        now: Timestamp,
    ) -> Result<Vec<Deed>, Stop> {
        self.change(caller, |past| {
            past.forget(now);
            past.stopped(now)?;
            let met = subjects.iter().flat_map(|subject| past.met_with(digest, *subject, now));
            let deeds: Vec<_> = met.map(Deed::Met).collect();
            deeds.iter().for_each(|deed| past.take(*deed));
            Ok(deeds)
        })
    }

    /// Remembers what was written down.
    pub(super) fn take(&mut self, caller: CallerKey, deed: Deed) {
        self.change(caller, |past| past.take(deed));
    }

    /// Forgets what is past.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.callers.values_mut().for_each(|past| past.forget(now));
        self.callers.retain(|_, past| past.len() > 0);
        self.count = self.callers.values().map(Past::len).sum();
    }

    /// How much is remembered.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// All of it, each caller's oldest first.
    pub(super) fn deeds(&self) -> impl Iterator<Item = (CallerKey, Deed)> + '_ {
        self.callers.iter().flat_map(|(caller, past)| {
            let seen = past.kept.iter().chain(&past.recent).map(|seen| Deed::Searched(*seen));
            let met = past.met.iter().map(|met| Deed::Met(*met));
            seen.chain(met).map(|deed| (*caller, deed))
        })
    }

    fn change<T>(&mut self, caller: CallerKey, work: impl FnOnce(&mut Past) -> T) -> T {
        let past = self.callers.entry(caller).or_default();
        self.count -= past.len();
        let done = work(past);
        self.count += past.len();
        while self.count > MOST {
            let longest = self.callers.values_mut().max_by_key(|past| past.len());
            longest.expect("somebody did something").forget_oldest();
            self.count -= 1;
        }
        done
    }
}

impl Past {
    fn take(&mut self, deed: Deed) {
        match deed {
            Deed::Searched(seen) => self.search(seen),
            Deed::Met(met) => self.meet(met),
        }
    }
}
