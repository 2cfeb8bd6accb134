//! Two officers grant; one takes back; nobody who holds nothing is known.

use super::{
    device::{self, State},
    *,
};
use crate::{
    administer::{self, AdministerError, Proposal},
    authority::{Reach, Refusal},
    event::What,
    grant::{Content, Credential, Holder},
    id::{AgencyId, GrantId},
    law::{Allowance, Role},
    record::{StoreError, WriteError},
};

fn token(number: u8) -> Credential {
    Credential::of_token(&number.to_string())
}

fn administrator(nation: &str) -> Caller {
    Caller::administrator("admin".parse().unwrap(), nation.parse().unwrap())
}

/// Two officers of a nation.
fn officers(house: &House, nation: &str, first: u8) -> [Caller; 2] {
    let both = [("alice".parse().unwrap(), token(first)), ("bob".parse().unwrap(), token(first + 1))];
    let caller = administrator(nation);
    administer::appoint_officers(&house.gallery, &caller, both.clone(), 30).unwrap();
    let again = administer::appoint_officers(&house.gallery, &caller, both, 30);
    assert!(matches!(again, Err(AdministerError::HasOfficers)));
    [first, first + 1].map(|number| administer::recognise(&house.gallery, &token(number)).unwrap())
}

fn checkpoint(name: &str, lists: Reach) -> Holder {
    Holder {
        name: name.parse().unwrap(),
        role: Role::Checkpoint,
        verbs: [].into(),
        agency: AgencyId::mint(&Ambient::system()),
        station: Some("gate 4".parse().unwrap()),
        operator: None,
        watchlists: lists,
        purposes: [Purpose::BorderControl].into(),
        allowances: [Allowance::RawProbes].into(),
        searches_per_hour: None,
    }
}

fn propose(
    house: &House,
    caller: &Caller,
    holder: Holder,
    credential: Credential,
) -> Result<GrantId, AdministerError> {
    let proposal = Proposal { content: Content::Caller(holder), credential: Some(credential), days: 10 };
    administer::propose(&house.gallery, caller, proposal).map(|(id, _)| id)
}

#[test]
fn a_grant_holds_when_two_officers_want_it_until_one_does_not() {
    let house = House::build();
    let gallery = &house.gallery;
    let [alice, bob] = officers(&house, "UTO", 1);
    let listed = Reach::Listed([house.list].into());
    let id = propose(&house, &alice, checkpoint("gate", listed.clone()), token(9)).unwrap();
    assert_eq!(administer::recognise(gallery, &token(9)), None);
    assert!(matches!(
        administer::approve(gallery, &alice, id),
        Err(AdministerError::Refused(Refusal::Officer))
    ));
    assert!(matches!(house.events().pop().unwrap().what, What::Refused { .. }), "that she tried is told");
    administer::approve(gallery, &bob, id).unwrap();
    assert!(matches!(administer::approve(gallery, &bob, id), Err(AdministerError::Decided)));
    let guard = administer::recognise(gallery, &token(9)).unwrap();
    house.ask(&guard, house.request(axis(0)), None).unwrap();
    let event = house.events().pop().unwrap();
    assert_eq!((event.actor.station.unwrap().as_str(), event.actor.grant), ("gate 4", Some(id)));
    // A live name or credential is one person's.
    let again = propose(&house, &bob, checkpoint("gate", listed.clone()), token(10));
    assert!(matches!(again, Err(AdministerError::Exists)));
    let again = propose(&house, &bob, checkpoint("other", listed.clone()), token(9));
    assert!(matches!(again, Err(AdministerError::Exists)));
    // Who holds no grant to grant cannot, whoever holds the folder neither.
    for caller in [&guard, &administrator("UTO")] {
        let refused = propose(&house, caller, checkpoint("mine", listed.clone()), token(11));
        assert!(matches!(refused, Err(AdministerError::Refused(Refusal::Verb(_)))));
    }
    administer::revoke(gallery, &alice, id).unwrap();
    assert_eq!(administer::recognise(gallery, &token(9)), None);
    assert!(matches!(administer::revoke(gallery, &alice, id), Err(AdministerError::Decided)));
    propose(&house, &alice, checkpoint("gate", listed), token(9)).unwrap();
    let told = house.events().into_iter().map(|event| event.what);
    let told: Vec<&str> = told
        .filter_map(|what| match what {
            What::AppointOfficers { .. } => Some("appointed"),
            What::ProposeGrant { .. } => Some("proposed"),
            What::ApproveGrant { .. } => Some("approved"),
            What::RevokeGrant { .. } => Some("revoked"),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["appointed", "proposed", "approved", "revoked", "proposed"]);
}

#[test]
fn nobody_approves_their_own_promotion() {
    let house = House::build();
    let [alice, bob] = officers(&house, "UTO", 1);
    let mut holder = checkpoint("bob", Reach::Own);
    (holder.role, holder.purposes, holder.allowances) = (Role::SecurityOfficer, [].into(), [].into());
    let known = Credential::of_certificate(b"bob's");
    // Whoever proposes would know the token, and be two.
    assert!(matches!(propose(&house, &alice, holder.clone(), token(5)), Err(AdministerError::OfficersToken)));
    // Bob's own grant lives still: he gets no second one.
    assert!(matches!(propose(&house, &alice, holder.clone(), known), Err(AdministerError::Exists)));
    administer::revoke(&house.gallery, &alice, bob.grant.unwrap()).unwrap();
    let id = propose(&house, &alice, holder, known).unwrap();
    assert!(matches!(
        administer::approve(&house.gallery, &alice, id),
        Err(AdministerError::Refused(Refusal::Officer))
    ));
    // One officer is left: whoever holds the folder appoints others, under other names.
    let both = [("carol".parse().unwrap(), token(6)), ("dora".parse().unwrap(), token(7))];
    administer::appoint_officers(&house.gallery, &administrator("UTO"), both, 30).unwrap();
    let carol = administer::recognise(&house.gallery, &token(6)).unwrap();
    administer::approve(&house.gallery, &carol, id).unwrap();
    // What somebody proposed who is no officer any more is approved by nobody.
    let id = propose(&house, &alice, checkpoint("gate", Reach::Own), token(9)).unwrap();
    administer::revoke(&house.gallery, &carol, alice.grant.unwrap()).unwrap();
    assert!(matches!(
        administer::approve(&house.gallery, &carol, id),
        Err(AdministerError::Refused(Refusal::Officer))
    ));
}

#[test]
fn what_is_taken_back_counts_at_once_whatever_becomes_of_its_event() {
    let house = House::build();
    let [alice, bob] = officers(&house, "UTO", 1);
    let id = propose(&house, &alice, checkpoint("gate", Reach::Own), token(9)).unwrap();
    administer::approve(&house.gallery, &bob, id).unwrap();
    let switch = device::switch();
    let house = device::open_on(house, Setup::new(root(), 1), &switch);
    switch.turn(State::Full);
    assert!(matches!(administer::revoke(&house.gallery, &alice, id), Err(AdministerError::Node(_))));
    assert_eq!(administer::recognise(&house.gallery, &token(9)), None);
    switch.turn(State::Well);
    while house.gallery.ready().is_err() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(matches!(administer::revoke(&house.gallery, &alice, id), Err(AdministerError::Decided)));
    assert!(matches!(house.events().pop().unwrap().what, What::RevokeGrant { grant } if grant == id));
}

#[test]
fn more_than_the_limit_does_not_come_on_record() {
    let house = House::build();
    let setup = Setup { limit: Some(2), ..Setup::new(root(), 1) };
    let house = house.opened_by(|folder, ambient| Gallery::open(folder, setup, ambient));
    house.enrol("a", axis(0)).unwrap();
    let b = house.enrol("b", axis(1)).unwrap();
    let too_many =
        |error: EnrolError| matches!(error, EnrolError::Node(WriteError::Store(StoreError::TooMany(2))));
    assert!(too_many(house.enrol("c", axis(2)).unwrap_err()));
    // Whoever is kept out of the search counts, too.
    crate::restrict::restrict(&house.gallery, &utopia(), b, None).unwrap();
    assert!(too_many(house.enrol("c", axis(2)).unwrap_err()));
    assert_eq!(house.look(axis(2)).decision, crate::decision::Decision::NoHit);
    house.gallery.check().unwrap();
}

#[test]
fn a_grant_ends_and_a_restart_knows_the_same_callers() {
    let house = House::build();
    let [alice, bob] = officers(&house, "UTO", 1);
    let id = propose(&house, &alice, checkpoint("gate", Reach::Own), token(9)).unwrap();
    administer::approve(&house.gallery, &bob, id).unwrap();
    let (clock, folder) = (Arc::clone(&house.clock), house.folder.path().to_owned());
    let House { gallery, folder: home, .. } = house;
    let before = administer::recognise(&gallery, &token(9)).unwrap();
    drop(gallery);
    let gallery = open(&folder, &clock).unwrap();
    assert_eq!(administer::recognise(&gallery, &token(9)), Some(before));
    clock.0.fetch_add(10 * 86_400_000, Ordering::SeqCst);
    assert_eq!(administer::recognise(&gallery, &token(9)), None);
    // Its name is free again.
    let proposal = Proposal {
        content: Content::Caller(checkpoint("gate", Reach::Own)),
        credential: Some(token(9)),
        days: 10,
    };
    administer::propose(&gallery, &alice, proposal).unwrap();
    gallery.check().unwrap();
    drop(home);
}

#[test]
fn a_foreign_list_is_granted_only_while_its_owner_shares_it() {
    let house = House::build();
    let gallery = &house.gallery;
    let (own, foreign) = (officers(&house, "UTO", 1), officers(&house, "XAA", 3));
    let listed = || checkpoint("gate", Reach::Listed([house.list].into()));
    let unknown = WatchlistId::mint(&Ambient::system());
    let refused = |list: WatchlistId| {
        let holder = checkpoint("gate", Reach::Listed([list].into()));
        propose(&house, &foreign[0], holder, token(9)).unwrap_err().to_string()
    };
    assert_eq!(refused(house.list), refused(unknown), "unknown and not shared look the same");
    let share = |caller: &Caller| {
        let content = Content::Nation { nation: "XAA".parse().unwrap(), watchlist: house.list };
        administer::propose(gallery, caller, Proposal { content, credential: None, days: 10 })
    };
    assert!(matches!(share(&foreign[0]), Err(AdministerError::Refused(_))), "only its owner shares it");
    let (shared, _) = share(&own[0]).unwrap();
    assert!(matches!(administer::approve(gallery, &foreign[1], shared), Err(AdministerError::Unknown)));
    administer::approve(gallery, &own[1], shared).unwrap();
    let id = propose(&house, &foreign[0], listed(), token(9)).unwrap();
    administer::approve(gallery, &foreign[1], id).unwrap();
    let guard = administer::recognise(gallery, &token(9)).unwrap();
    house.ask(&guard, house.request(axis(0)), None).unwrap();
    administer::revoke(gallery, &own[1], shared).unwrap();
    let refused = house.ask(&guard, house.request(axis(0)), None).unwrap_err();
    assert!(matches!(refused, LookupError::Refused(Refusal::Watchlist { index: 0 })));
}
