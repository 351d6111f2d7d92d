//! The page at `/`. What it looks like is looked at; here is what it must have to be usable and self-contained.

use crate::support::Fixture;

async fn page() -> String {
    let reply = Fixture::new().await.get("/").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html; charset=utf-8")));
    String::from_utf8(reply.body).expect("UTF-8")
}

#[tokio::test]
async fn the_console_loads_nothing_from_anywhere_else() {
    let page = page().await;
    for outside in ["src=\"http", "<link rel=\"stylesheet\"", "@import", "url(http", "href=\"http"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[tokio::test]
async fn every_fault_and_operation_it_offers_is_understood() {
    let fixture = Fixture::new().await;
    let page = page().await;
    let between = |from: &str, to: &str| {
        let (_, rest) = page.split_once(from).expect("it is there");
        rest.split_once(to).expect("it ends").0.to_owned()
    };
    let quoted =
        |text: &str| -> Vec<String> { text.split('"').skip(1).step_by(2).map(str::to_owned).collect() };
    let operations = quoted(&between("const OPERATIONS = [", "];"));
    // Names are followed by a colon, descriptions are not.
    let faults: Vec<String> = (between("const FAULTS = {", "};").split("\":"))
        .filter_map(|before| before.rsplit_once('"').map(|(_, name)| name.to_owned()))
        .filter(|name| !name.is_empty() && !name.contains(','))
        .collect();
    assert!(operations.len() == 13 && faults.len() == 15, "{operations:?} {faults:?}");
    for operation in &operations {
        let plan = serde_json::json!({ "operation": operation, "fault": "hang", "times": 1 });
        assert_eq!(fixture.post("/control/fault", plan).await.status, 200, "{operation}");
    }
    for fault in &faults {
        let plan = serde_json::json!({ "operation": "jwks", "fault": fault, "times": 1, "delayMs": 0 });
        assert_eq!(fixture.post("/control/fault", plan).await.status, 200, "{fault}");
    }
}
