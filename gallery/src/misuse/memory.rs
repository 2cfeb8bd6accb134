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
/// What is remembered of all callers together; then whoever has most loses the oldest.
pub(super) const MOST: usize = 1 << 20;
/// What is remembered of one caller; then it searches no more until some of it is past.
pub(super) const MOST_OF_ONE: usize = 1 << 18;
/// A clock that was ahead by more is set right.
const AHEAD_HOURS: i64 = 1;

/// A caller, as the memory knows it.
pub(super) type CallerKey = [u8; 16];

/// A probe, as the memory knows it: the same one again tells nobody anything.
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
    /// When it was searched with last.
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
    Met(SubjectId, Meeting),
    /// A probe with which it was not answered.
    TakenBack(Digest),
}

/// Of a caller and a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meeting {
    pub(super) at: Timestamp,
    pub(super) digest: Digest,
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

/// Of one caller, oldest first, each probe once.
#[derive(Default)]
struct Past {
    recent: VecDeque<Seen>,
    /// Probes that were like others, and are not recent.
    kept: VecDeque<Seen>,
    /// Of all these.
    digests: HashSet<Digest>,
    met: HashMap<SubjectId, VecDeque<Meeting>>,
    /// Meetings in `met`.
    meetings: usize,
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
        self.recent.len() + self.kept.len() + self.meetings
    }

    /// Forgets probes that are past.
    fn forget(&mut self, now: Timestamp) {
        while let Some(seen) = self.recent.pop_front_if(|seen| seen.at.plus_hours(RECENT_HOURS) <= now) {
            if seen.related {
                self.kept.push_back(seen);
            } else {
                self.digests.remove(&seen.digest);
            }
        }
        while let Some(seen) = self.kept.pop_front_if(|seen| seen.at.plus_hours(MEMORY_HOURS) <= now) {
            self.digests.remove(&seen.digest);
        }
    }

    /// Forgets all that is past; what a clock wrote that was ahead is of now.
    fn settle(&mut self, now: Timestamp) {
        let latest = now.plus_hours(AHEAD_HOURS);
        let settled = |at: &mut Timestamp| *at = if *at > latest { now } else { *at };
        self.recent.iter_mut().chain(&mut self.kept).for_each(|seen| settled(&mut seen.at));
        self.forget(now);
        for met in self.met.values_mut() {
            met.iter_mut().for_each(|met| settled(&mut met.at));
            while met.pop_front_if(|met| met.at.plus_hours(MEMORY_HOURS) <= now).is_some() {}
        }
        self.met.retain(|_, met| !met.is_empty());
        self.meetings = self.met.values().map(VecDeque::len).sum();
        let last = now.plus_hours(MEMORY_HOURS);
        self.stopped_until = self.stopped_until.filter(|until| now < *until).map(|until| until.min(last));
    }

    /// Other probes like this one.
    fn related(&self, digest: Digest, sketch: &Sketch) -> impl Iterator<Item = &Seen> {
        let seen = self.kept.iter().chain(&self.recent);
        seen.filter(move |seen| seen.sketch.is_like(sketch) && seen.digest != digest)
    }

    fn is_recent(&self, digest: Digest) -> bool {
        self.digests.contains(&digest) && self.recent.iter().any(|seen| seen.digest == digest)
    }

    /// Is it stopped, whatever it searches with?
    fn stopped(&self, now: Timestamp) -> Result<(), Stop> {
        let too_much = || {
            let oldest = self.kept.front().or(self.recent.front()).map_or(now, |seen| seen.at);
            oldest.plus_hours(MEMORY_HOURS)
        };
        let (misuse, until) = match self.stopped_until.filter(|until| now < *until) {
            Some(until) => (Misuse::Meetings, until),
            None if self.len() >= MOST_OF_ONE => (Misuse::Searches, too_much()),
            None => return Ok(()),
        };
        Err(Stop { misuse, until })
    }

    fn check(&self, ask: &Ask, now: Timestamp) -> Result<Seen, Stop> {
        self.stopped(now)?;
        let again = self.is_recent(ask.digest);
        let past = self.recent.len().checked_sub(ask.searches_per_hour as usize);
        if let Some(first) = past.and_then(|past| self.recent.get(past)).filter(|_| !again) {
            return Err(Stop { misuse: Misuse::Searches, until: first.at.plus_hours(RECENT_HOURS) });
        }
        let mut related: Vec<_> = self.related(ask.digest, &ask.sketch).map(|seen| seen.at).collect();
        related.sort_unstable_by_key(|at| Reverse(*at));
        if let Some(first) = related.get(RELATED_PROBES - 1).filter(|_| !again) {
            return Err(Stop { misuse: Misuse::RelatedProbes, until: first.plus_hours(MEMORY_HOURS) });
        }
        Ok(Seen { at: now, digest: ask.digest, sketch: ask.sketch, related: !related.is_empty() })
    }

    /// Whom it meets who searches with this probe, if not all is known already.
    fn met_by(&self, ask: &Ask, seen: &Seen) -> Vec<Deed> {
        let mut others = HashSet::new();
        if seen.related {
            others.extend(self.related(ask.digest, &ask.sketch).map(|seen| seen.digest));
        }
        let met = |met: &VecDeque<Meeting>| met.iter().any(|met| met.direct && others.contains(&met.digest));
        let near = self.met.iter().filter(|(_, all)| !others.is_empty() && met(all));
        let near: BTreeSet<_> = near.map(|(subject, _)| *subject).collect();
        let all = near.into_iter().map(|subject| (subject, false)).chain(ask.subject.map(|s| (s, true)));
        all.filter_map(|(subject, direct)| self.meeting(seen.at, subject, ask.digest, direct)).collect()
    }

    /// What it means for this probe, and for those like it, that subjects are shown.
    fn met_with(&self, digest: Digest, subjects: &[SubjectId], now: Timestamp) -> Vec<Deed> {
        let probe =
            self.recent.iter().rev().find(|seen| seen.digest == digest).filter(|_| !subjects.is_empty());
        let others = probe.into_iter().flat_map(|seen| self.related(digest, &seen.sketch));
        let probes: Vec<_> =
            [(digest, true)].into_iter().chain(others.map(|seen| (seen.digest, false))).collect();
        let all = subjects.iter().flat_map(|subject| probes.iter().map(move |probe| (*subject, *probe)));
        all.filter_map(|(subject, (digest, direct))| self.meeting(now, subject, digest, direct)).collect()
    }

    /// A meeting that is not remembered yet.
    fn meeting(&self, at: Timestamp, subject: SubjectId, digest: Digest, direct: bool) -> Option<Deed> {
        let mut met = self.met.get(&subject).into_iter().flatten().filter(|met| met.digest == digest);
        let known = met.any(|met| met.direct || !direct);
        (!known).then_some(Deed::Met(subject, Meeting { at, digest, direct }))
    }

    fn take(&mut self, deed: Deed) {
        match deed {
            Deed::Searched(seen) => self.search(seen),
            Deed::Met(subject, met) => self.meet(subject, met),
            Deed::TakenBack(digest) => self.take_back(digest),
        }
    }

    fn search(&mut self, mut seen: Seen) {
        let known = !self.digests.insert(seen.digest);
        for past in [&mut self.recent, &mut self.kept].into_iter().filter(|_| known) {
            if let Some(at) = past.iter().position(|other| other.digest == seen.digest) {
                seen.related |= past.remove(at).is_some_and(|same| same.related);
            }
        }
        if seen.related {
            let all = self.recent.iter_mut();
            all.filter(|other| other.sketch.is_like(&seen.sketch)).for_each(|other| other.related = true);
        }
        self.recent.push_back(seen);
    }

    fn meet(&mut self, subject: SubjectId, meeting: Meeting) {
        let met = self.met.entry(subject).or_default();
        self.meetings -= met.len();
        while met.pop_front_if(|met| met.at.plus_hours(MEMORY_HOURS) <= meeting.at).is_some() {}
        match met.iter_mut().find(|other| other.digest == meeting.digest) {
            Some(same) => same.direct |= meeting.direct,
            None => met.push_back(meeting),
        }
        self.meetings += met.len();
        self.stopped_until = self.stopped_until.max(stopped_until(met));
    }

    fn take_back(&mut self, digest: Digest) {
        self.digests.remove(&digest);
        self.recent.retain(|seen| seen.digest != digest);
        self.kept.retain(|seen| seen.digest != digest);
        self.met.values_mut().for_each(|met| met.retain(|met| met.digest != digest));
        self.met.retain(|_, met| !met.is_empty());
        self.meetings = self.met.values().map(VecDeque::len).sum();
        self.stopped_until = self.met.values().filter_map(stopped_until).max();
    }

    /// Forgets something old.
    fn forget_one(&mut self) {
        if let Some(seen) = self.recent.pop_front().or_else(|| self.kept.pop_front()) {
            self.digests.remove(&seen.digest);
        } else {
            self.met.clear();
            self.meetings = 0;
        }
    }
}

/// Until when so many meetings with one subject are too many, if they are.
fn stopped_until(met: &VecDeque<Meeting>) -> Option<Timestamp> {
    let first = met.get(met.len().checked_sub(MEETINGS)?)?;
    Some(first.at.plus_hours(MEMORY_HOURS))
}

impl Memory {
    /// What is to be remembered, if the caller may search; and is it a probe of which nothing is remembered?
    pub(super) fn admit(
        &mut self,
        caller: CallerKey,
        ask: &Ask,
        now: Timestamp,
    ) -> Result<(Vec<Deed>, bool), Stop> {
        self.change(caller, |past| {
            past.forget(now);
            let seen = past.check(ask, now)?;
            let met = || past.met.values().flatten().any(|met| met.digest == ask.digest);
            let fresh = !past.digests.contains(&ask.digest) && !met();
            let deeds = [Deed::Searched(seen)].into_iter().chain(past.met_by(ask, &seen)).collect();
            Ok((deeds, fresh))
        })
    }

    /// What is to be remembered, if the caller may be shown that the probe found these subjects.
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
            Ok(past.met_with(digest, subjects, now))
        })
    }

    /// Remembers.
    pub(super) fn take(&mut self, caller: CallerKey, deed: Deed) {
        self.change(caller, |past| past.take(deed));
    }

    /// Remembers what was written down, as it was when it was written.
    pub(super) fn replay(&mut self, caller: CallerKey, deed: Deed) {
        self.change(caller, |past| {
            if let Deed::Searched(Seen { at, .. }) | Deed::Met(_, Meeting { at, .. }) = deed {
                past.forget(at);
            }
            past.take(deed);
        });
    }

    /// Forgets what is past. A clock that was ahead is set right.
    pub(super) fn settle(&mut self, now: Timestamp) {
        self.callers.values_mut().for_each(|past| past.settle(now));
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
            let of = |(subject, met): (&SubjectId, &Meeting)| Deed::Met(*subject, *met);
            let met = past.met.iter().flat_map(|(subject, met)| met.iter().map(move |met| (subject, met)));
            seen.chain(met.map(of)).map(|deed| (*caller, deed))
        })
    }

    fn change<T>(&mut self, caller: CallerKey, work: impl FnOnce(&mut Past) -> T) -> T {
        let past = self.callers.entry(caller).or_default();
        self.count -= past.len();
        let done = work(past);
        self.count += past.len();
        while self.count > MOST {
            let longest = self.callers.values_mut().max_by_key(|past| past.len());
            let longest = longest.expect("somebody did something");
            self.count -= longest.len();
            longest.forget_one();
            self.count += longest.len();
        }
        done
    }
}
