use serde_json::{Value, json};

use super::*;

fn settings(json: Value) -> std::result::Result<Settings, String> {
    let config: Config = serde_json::from_value(json).map_err(|e| e.to_string())?;
    Settings::try_from(config).map_err(|e| e.to_string())
}

#[test]
fn an_app_id_is_enough_and_the_defaults_are_the_documented_ones() {
    let settings = settings(json!({"appId": "APP1"})).unwrap();
    assert_eq!(settings.server, Server::Direct("https://api.otpless.com/".parse().unwrap()));
    let key_set = "https://otpless.com/.well-known/jwks".parse().unwrap();
    assert_eq!(settings.keys, KeySource::KeySet(key_set));
    assert_eq!(settings.issuer, "https://otpless.com");
    assert_eq!(settings.policy, Policy::default());
}

#[test]
fn unknown_keys_are_refused_by_name() {
    let error = settings(json!({"appId": "APP1", "inactivityTimeOut": 60})).unwrap_err();
    assert!(error.contains("inactivityTimeOut") && error.contains("inactivityTimeout"), "{error}");
    assert!(!error.contains("client"), "there is no key for a client secret: {error}");
}

#[test]
fn a_client_id_or_secret_is_refused_in_every_spelling_and_the_error_says_why_and_where_to_put_it() {
    for key in [
        "clientSecret",
        "clientId",
        "client_secret",
        "ClientID",
        "client-secret",
        "clientSecretKey",
        "otplessSecret",
    ] {
        for mode in ["direct", "relay"] {
            let error = settings(json!({"appId": "APP1", "mode": mode, key: "s3cr3t"})).unwrap_err();
            for said in [&*format!("plugins.otpless.{key} "), "public", "relayUrl", "backend"] {
                assert!(error.contains(said), "{key}: {error}");
            }
            assert!(!error.contains("s3cr3t"), "{error}");
        }
    }
}

#[test]
fn relay_mode_takes_an_address_and_headers() {
    let settings = settings(json!({
        "appId": "APP1",
        "mode": "relay",
        "relayUrl": "https://backend.example/otpless",
        "relayHeaders": {"x-api-key": "k-1"},
    }))
    .unwrap();
    let Server::Relay(url, headers) = settings.server else { panic!("{settings:?}") };
    assert_eq!(url.as_str(), "https://backend.example/otpless");
    assert_eq!(headers, RelayHeaders::default().with("x-api-key", "k-1"));
}

#[test]
fn a2_a_relay_header_is_named_and_its_value_never_printed() {
    let config: Config = serde_json::from_value(json!({"relayHeaders": {"x-api-key": "canary-1"}})).unwrap();
    let printed = format!("{config:?}");
    assert!(printed.contains("x-api-key") && !printed.contains("canary"), "{printed}");
    let error = settings(json!({
        "appId": "A", "mode": "relay", "relayUrl": "https://b.example", "relayHeaders": {"x": "canary\n2"},
    }))
    .unwrap_err();
    assert!(error.starts_with("plugins.otpless.relayHeaders ") && !error.contains("canary"), "{error}");
}

#[test]
fn settings_of_the_other_mode_are_refused_by_key() {
    for (mode, key, value) in [
        ("direct", "relayUrl", json!("https://backend.example")),
        ("direct", "relayHeaders", json!({})),
        ("relay", "apiUrl", json!("https://api.otpless.com")),
    ] {
        let mut config = json!({"appId": "A", "mode": mode});
        if mode == "relay" {
            config["relayUrl"] = json!("https://backend.example");
        }
        config[key] = value;
        let error = settings(config).unwrap_err();
        assert!(error.starts_with(&format!("plugins.otpless.{key} ")), "{error}");
    }
    let error = settings(json!({"appId": "A", "mode": "relay"})).unwrap_err();
    assert!(error.starts_with("plugins.otpless.relayUrl is missing"), "{error}");
}

#[test]
fn e1_a_relay_address_obeys_the_rules_of_every_address() {
    let relay = |url: &str| settings(json!({"appId": "A", "mode": "relay", "relayUrl": url}));
    for bad in [
        "nonsense",
        "http://backend.example",
        "http://0.0.0.0:1",
        "https://user:pw@backend.example",
        "https://backend.example?key=1",
    ] {
        let error = relay(bad).unwrap_err();
        assert!(error.starts_with("plugins.otpless.relayUrl "), "{bad}: {error}");
    }
    assert!(relay("http://127.0.0.1:8788").is_ok());
}

#[test]
fn e1_impossible_values_are_refused_by_key() {
    for (key, value) in [
        ("appId", json!("")),
        ("appId", json!("a b")),
        ("apiUrl", json!("nonsense")),
        ("apiUrl", json!("http://api.otpless.com")),
        ("apiUrl", json!("http://127.0.0.1.example.com")),
        ("apiUrl", json!("http://0.0.0.0:1")),
        ("apiUrl", json!("ftp://127.0.0.1")),
        ("apiUrl", json!("https://user:pw@api.otpless.com")),
        ("apiUrl", json!("https://api.otpless.com?x=1")),
        ("jwksUrl", json!("http://otpless.com/.well-known/jwks")),
        ("discoveryUrl", json!("http://otpless.com/.well-known/openid-configuration")),
        ("issuer", json!("")),
        ("inactivityTimeout", json!(0)),
        ("inactivityTimeout", json!(29)),
        ("inactivityTimeout", json!(1_700_000_000_000_u64)),
        ("maxLifetime", json!(0)),
        ("inactivityWarning", json!(30)),
    ] {
        let mut config = json!({"appId": "APP1"});
        config[key] = value.clone();
        let error = settings(config).unwrap_err();
        assert!(error.starts_with(&format!("plugins.otpless.{key} ")), "{key} = {value}: {error}");
    }
    for (key, value) in [
        ("appId", json!(5)),
        ("mode", json!("proxy")),
        ("apiUrl", json!({})),
        ("discoveryUrl", json!(true)),
        ("relayUrl", json!(1)),
        ("relayHeaders", json!([])),
        ("relayHeaders", json!({"x-key": 1})),
        ("inactivityTimeout", json!(-5)),
        ("inactivityTimeout", json!("900")),
        ("maxLifetime", json!(1.5)),
    ] {
        let mut config = json!({"appId": "A"});
        config[key] = value.clone();
        let error = settings(config).unwrap_err();
        assert!(error.contains(&format!("plugins.otpless.{key} is not ")), "{key} = {value}: {error}");
    }
    assert!(settings(json!({"appId": "A", "inactivityTimeout": 60, "inactivityWarning": 60})).is_err());
    assert!(settings(json!({})).unwrap_err().starts_with("plugins.otpless.appId "));
}

#[test]
fn e1_plain_http_is_for_loopback_addresses_alone() {
    for local in ["http://127.0.0.1:8787", "http://localhost:8787", "http://[::1]:8787", "http://127.9.9.9"] {
        assert!(settings(json!({"appId": "A", "apiUrl": local})).is_ok(), "{local}");
    }
}

#[test]
fn b11_keys_come_from_one_place() {
    let discovery = "https://otpless.com/.well-known/openid-configuration";
    let settings_with = |config| settings(config).map(|settings| settings.keys);
    assert_eq!(
        settings_with(json!({"appId": "A", "discoveryUrl": discovery})),
        Ok(KeySource::Discovery(discovery.parse().unwrap()))
    );
    let both = json!({"appId": "A", "discoveryUrl": discovery, "jwksUrl": "https://otpless.com/keys"});
    let error = settings_with(both).unwrap_err();
    assert!(
        error.contains("plugins.otpless.discoveryUrl") && error.contains("plugins.otpless.jwksUrl"),
        "{error}"
    );
}

#[test]
fn the_builder_wins_over_the_file() {
    let file = Config { app_id: Some("FILE".into()), max_lifetime: Some(5), ..Config::default() };
    let builder = Config { app_id: Some("CODE".into()), ..Config::default() };
    let both = file.overridden_by(builder);
    assert_eq!((both.app_id.as_deref(), both.max_lifetime), (Some("CODE"), Some(5)));
}
