//! Generations over HTTP and by the tools: built, listed, followed, gone back from, and opened by a restart.

use tests::*;

#[test]
fn a_generation_is_built_while_served_and_a_restart_opens_it() {
    let site = Site::found();
    let folder = site.folder.path();
    let mut server = site.serve();
    let (clerk, guard) = (server.actor(&site.clerk), server.actor(&site.guard));
    let keeper = server.actor(&site.keeper);
    for n in 0..20 {
        clerk.enrol(&site.list, &format!("p{n}"), n);
    }
    let send = |method: &str, path: &str| keeper.try_send(method, path, None, &[]).unwrap();
    let build = || {
        let begun = send("POST", "/v1/generations").expect(202);
        let path = format!("/v1/jobs/{}", begun["job"].as_str().unwrap());
        // The stream ends when the job has.
        let states = keeper.events(&path);
        let last = states.last().unwrap();
        assert_eq!((&last["state"], last["kind"].as_str()), (&"done".into(), Some("rebuild")), "{last}");
        assert_eq!(keeper.get(&path).expect(200), *last);
        assert_eq!(send("DELETE", &path).status, 409, "it has ended");
    };
    build();
    clerk.enrol(&site.list, "p20", 20);
    build();
    let listed = keeper.get("/v1/generations").expect(200);
    let listed = listed["generations"].as_array().unwrap();
    let brief = |one: &serde_json::Value| (one["references"].as_u64().unwrap(), one["current"] == true);
    assert_eq!(listed.iter().map(brief).collect::<Vec<_>>(), [(20, false), (21, true)]);
    let ids: Vec<u64> = listed.iter().map(|one| one["id"].as_u64().unwrap()).collect();
    let searched = || {
        let answer = guard.look_up(&site.list, 20).expect(200);
        assert_eq!(answer["decision"], "hit");
        answer["certificate"]["generation"].as_u64().unwrap()
    };
    assert_eq!(searched(), ids[1]);
    send("POST", "/v1/generations/former/activation").expect(200);
    assert_eq!(searched(), ids[0], "what came since is searched beside it");
    send("POST", &format!("/v1/generations/{}/activation", ids[1])).expect(200);
    assert_eq!((send("POST", "/v1/generations/99/activation").status, searched()), (404, ids[1]));
    assert_eq!(guard.try_send("POST", "/v1/generations", None, &[]).unwrap().status, 403);
    assert_eq!(guard.get("/v1/jobs").status, 403);
    assert_eq!(clerk.get("/v1/jobs").status, 403);
    assert_eq!(keeper.look_up(&site.list, 1).status, 403, "who builds does not search");
    assert_eq!(keeper.get("/v1/jobs").expect(200)["jobs"].as_array().unwrap().len(), 2);
    server.kill();
    let server = site.serve();
    let answer = server.actor(&site.guard).look_up(&site.list, 20).expect(200);
    assert_eq!(
        (&answer["decision"], answer["certificate"]["generation"].as_u64()),
        (&"hit".into(), Some(ids[1]))
    );
    drop(server);

    // The tools, on the stopped node's folder.
    let told = index(folder, &["generations"]);
    assert!(told.lines().any(|line| line.starts_with(&format!("* {}\t", ids[1]))), "{told}");
    let lines = index(folder, &["rebuild", "--nation", "UTO", "--json"]);
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let built = lines.last().unwrap();
    assert_eq!((&built["references"], &built["current"]), (&21.into(), &true.into()));
    assert!(lines.iter().any(|line| line["stage"] == "comparing" && line["done"] == 21), "{lines:?}");
    index(folder, &["rollback", "--nation", "UTO"]);
    let chosen = || {
        let all: serde_json::Value =
            serde_json::from_str(&index(folder, &["generations", "--json"])).unwrap();
        let current = all.as_array().unwrap().iter().find(|one| one["current"] == true).cloned();
        current.unwrap()["id"].as_u64().unwrap()
    };
    assert_eq!(chosen(), ids[1]);
    index(folder, &["activate", "--nation", "UTO", &built["id"].to_string()]);
    assert_eq!(chosen(), built["id"].as_u64().unwrap());
    assert_eq!(index_output(folder, &["activate", "--nation", "UTO", "99"]).status.code(), Some(2));
    index(folder, &["verify-store"]);
}
