//! Tokens that somebody made who is not OTPless, and tokens that mean one thing to one reader and another to the next
//! (B1, B2, B4, B10).
//!
//! The vectors of Wycheproof (`src/jwt/vectors.rs`) have few of these for RSA, so they are made here, each next to a
//! genuine token that passes: what is refused is refused for the one thing that is wrong with it.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use otpless_local::{Operation, OtplessLocal, Settings};
use ring::{
    hmac,
    signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};
use serde_json::{Value, json};
use tauri_plugin_otpless::{
    ErrorKind,
    engine::Unverified::{Invalid, UnknownKey},
};

use crate::support::Judge;

fn encoded(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_only_rs256_counts() {
    let judge = Judge::new().await;
    assert!(judge.accepts_header(|_| ()));
    for alg in ["HS256", "RS384", "RS512", "PS256", "ES256", "EdDSA", "RSA-OAEP", "rs256", "RS256 ", ""] {
        assert!(!judge.accepts_header(|h| h["alg"] = alg.into()), "{alg}");
    }
    for alg in [json!(256), json!(["RS256"]), json!({"RS256": 1}), json!(true), Value::Null] {
        assert!(!judge.accepts_header(|h| h["alg"] = alg.clone()), "{alg}");
    }
    assert!(!judge.accepts_header(|h| drop(h.as_object_mut().unwrap().remove("alg"))));
}

/// CVE-2015-9235: a verifier that takes the algorithm from the token takes the public key, which everybody has, for a
/// shared secret.
#[tokio::test(flavor = "multi_thread")]
async fn b1_the_public_key_is_no_secret_to_sign_with() {
    let judge = Judge::new().await;
    let genuine = judge.token();
    let (message, signature) = genuine.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let spki = judge.device.control.public_key();
    // What is wrapped around the key of RFC 8017 is always as long.
    let pkcs1 = &spki[24..];
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pkcs1);
    key.verify(message.as_bytes(), &signature).expect("the key that OTPless signs with");
    let set = judge.device.control.answer("GET", "/.well-known/jwks", Default::default(), &[]).body;
    let jwk = serde_json::from_slice::<Value>(&set).unwrap()["keys"][0].clone();
    let text = |member: &str| jwk[member].as_str().unwrap().to_owned();

    let secrets = [
        ("PEM", pem("PUBLIC KEY", &spki).into_bytes()),
        ("PEM without its last line break", pem("PUBLIC KEY", &spki).trim_end().into()),
        ("PEM of PKCS#1", pem("RSA PUBLIC KEY", pkcs1).into_bytes()),
        ("DER", spki.clone()),
        ("DER of PKCS#1", pkcs1.to_vec()),
        ("JWK", jwk.to_string().into_bytes()),
        ("key set", set),
        ("modulus", URL_SAFE_NO_PAD.decode(text("n")).unwrap()),
        ("modulus in base64url", text("n").into_bytes()),
        ("key id", text("kid").into_bytes()),
        ("nothing", Vec::new()),
    ];
    for (what, secret) in secrets {
        for (alg, hash) in
            [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
        {
            // Under its own name, and under the one that is expected.
            for named in [alg, "RS256"] {
                let mut header = judge.header();
                header["alg"] = named.into();
                let message =
                    format!("{}.{}", encoded(header.to_string()), encoded(judge.claims.to_string()));
                let tag = hmac::sign(&hmac::Key::new(hash, &secret), message.as_bytes());
                let forged = format!("{message}.{}", encoded(tag));
                assert!(matches!(judge.verdict(&forged), Err(Invalid(_))), "{alg} as {named} with {what}");
            }
        }
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap());
    let body: String = lines.flat_map(|line| [line, "\n"]).collect();
    format!("-----BEGIN {label}-----\n{body}-----END {label}-----\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_a_token_without_a_signature_is_none() {
    let judge = Judge::new().await;
    let genuine = judge.token();
    let signature = genuine.rsplit('.').next().unwrap();
    let payload = encoded(judge.claims.to_string());
    // Every way to write it: n or N, o or O, n or N, e or E.
    let spellings = (0..16_u8).map(|upper| {
        let letter = |(at, letter): (usize, char)| {
            if upper >> at & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
        };
        "none".chars().enumerate().map(letter).collect::<String>()
    });
    for alg in spellings.chain(["RS256".to_owned()]) {
        let mut header = judge.header();
        header["alg"] = alg.clone().into();
        // Signed after all, but under that name.
        let signed = judge.verdict_on(&header.to_string(), &judge.claims.to_string());
        assert_eq!(signed.is_ok(), alg == "RS256", "{alg}, signed");
        let header = encoded(header.to_string());
        for end in ["", ".", "..", "...", ".AA", ".e30", &format!(".{}", encoded("signature"))] {
            assert!(judge.verdict(&format!("{header}.{payload}{end}")).is_err(), "{alg} with {end:?}");
        }
        let with_a_signature = judge.verdict(&format!("{header}.{payload}.{signature}"));
        assert_eq!(with_a_signature.is_ok(), alg == "RS256", "{alg} with a signature");
    }
}

/// CVE-2018-0114 and its like. The attacker is a real issuer with a real key set, so a verifier that went there would
/// accept the token.
#[tokio::test(flavor = "multi_thread")]
async fn b2_keys_that_a_token_brings_along_are_not_used_and_nobody_is_asked_for_them() {
    let judge = Judge::new().await;
    let attacker = OtplessLocal::start(Settings::default()).await.unwrap();
    let control = attacker.state();
    let set = control.answer("GET", "/.well-known/jwks", Default::default(), &[]).body;
    let jwk = serde_json::from_slice::<Value>(&set).unwrap()["keys"][0].clone();
    let url = |path: &str| Value::from(format!("{}{path}", attacker.url()));
    let certificate = Value::from(STANDARD.encode(certificate(&control.public_key())));
    let ours = judge.header()["kid"].clone();
    let app = judge.device.start();
    let issued = judge.device.issue();
    app.start_session(issued.web()).await.unwrap();

    for (member, value) in [
        ("jwk", jwk.clone()),
        ("jku", url("/.well-known/jwks")),
        ("x5u", url("/certificate.pem")),
        ("x5c", json!([certificate])),
        ("jwks_uri", url("/.well-known/jwks")),
        ("iss", url("")),
    ] {
        for kid in [&ours, &jwk["kid"], &url("/.well-known/jwks"), &json!("../../etc/passwd")] {
            let header = json!({"alg": "RS256", "typ": "JWT", "kid": kid, member: value});
            let forged = control.mint(judge.claims.clone(), header);
            let verdict =
                if *kid == ours { Invalid("has a signature that does not match") } else { UnknownKey };
            assert_eq!(judge.verdict(&forged), Err(verdict), "{member}, {kid}");
            let mut sign_in = judge.device.issue().web();
            sign_in["sessionToken"] = forged.into();
            let error = app.start_session(sign_in).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::InvalidToken | ErrorKind::Server), "{error}");
        }
        // Beside a genuine signature they say nothing either.
        assert!(judge.accepts_header(|header| header[member] = value.clone()), "{member}");
    }
    assert!(control.requests().is_empty(), "{:?}", control.requests());
    assert_eq!(judge.device.control.count(Operation::Unknown), 0);
}

/// A certificate that its subject has issued itself, with a signature that nobody could check.
fn certificate(spki: &[u8]) -> Vec<u8> {
    let der = |tag: u8, parts: &[&[u8]]| {
        let body = parts.concat();
        let [high, low] = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, high, low][..], &body].concat()
    };
    let version = der(0xa0, &[&[2, 1, 2]]);
    let rs256 = der(0x30, &[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0]]);
    let (nobody, time) = (der(0x30, &[]), |text: &str| der(0x17, &[text.as_bytes()]));
    let validity = der(0x30, &[&time("200101000000Z"), &time("491231235959Z")]);
    let tbs = der(0x30, &[&version, &[2, 1, 1], &rs256, &nobody, &validity, &nobody, spki]);
    der(0x30, &[&tbs, &rs256, &der(3, &[&[0; 257]])])
}

#[tokio::test(flavor = "multi_thread")]
async fn b4_a_change_of_any_character_is_noticed() {
    let judge = Judge::new().await;
    let token = judge.token();
    assert!(judge.verdict(&token).is_ok());
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(judge.verdict(&changed).is_err(), "character {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b4_nothing_is_said_of_a_payload_that_nobody_has_signed() {
    let judge = Judge::new().await;
    let forger = OtplessLocal::start(Settings::default()).await.unwrap().state();
    let deep = "[".repeat(10_000);
    for payload in ["", "{", "[]", "not JSON", r#"{"iss":7}"#, r#"{"exp":1,"exp":2}"#, &deep] {
        let (header, payload) = (judge.header().to_string(), payload);
        let forged = forger.mint_raw(&encoded(&header), &encoded(payload));
        assert_eq!(
            judge.verdict(&forged),
            Err(Invalid("has a signature that does not match")),
            "{payload:.20}"
        );
        let Err(Invalid(why)) = judge.verdict_on(&header, payload) else { panic!("{payload:.20}") };
        assert!(!why.contains("signature"), "{payload:.20}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_extensions_that_change_what_is_signed_are_refused() {
    let judge = Judge::new().await;
    for crit in
        [json!(["exp"]), json!(["b64"]), json!([]), json!(["alg"]), json!("b64"), json!({}), Value::Null]
    {
        assert!(!judge.accepts_header(|header| header["crit"] = crit.clone()), "{crit}");
    }
    for b64 in [json!(false), json!(true), json!("false"), Value::Null] {
        assert!(!judge.accepts_header(|header| header["b64"] = b64.clone()), "{b64}");
        // RFC 7797: the payload is signed as it stands.
        let header = json!({"alg": "RS256", "kid": judge.header()["kid"], "b64": b64, "crit": ["b64"]});
        let header = encoded(header.to_string());
        for payload in [judge.claims.to_string(), encoded(judge.claims.to_string())] {
            assert!(judge.verdict(&judge.device.control.mint_raw(&header, &payload)).is_err(), "{b64}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_another_kind_of_token_is_refused() {
    let judge = Judge::new().await;
    for typ in [json!("jwt"), json!("JWT")] {
        assert!(judge.accepts_header(|header| header["typ"] = typ.clone()), "{typ}");
    }
    assert!(judge.accepts_header(|header| drop(header.as_object_mut().unwrap().remove("typ"))));
    for typ in [json!("JOSE"), json!("at+jwt"), json!(""), json!(7), json!(["JWT"]), Value::Null] {
        assert!(!judge.accepts_header(|header| header["typ"] = typ.clone()), "{typ}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_the_key_is_named_by_a_text() {
    let judge = Judge::new().await;
    let long = "k".repeat(257);
    for kid in [
        json!(1),
        json!(true),
        json!(["local-1"]),
        json!({"kid": "local-1"}),
        json!(""),
        json!(long),
        Value::Null,
    ] {
        let mut header = judge.header();
        header["kid"] = kid.clone();
        let verdict = judge.verdict(&judge.device.control.mint(judge.claims.clone(), header));
        assert!(matches!(verdict, Err(Invalid(_))), "{kid}: {verdict:?}");
    }
    assert!(!judge.accepts_header(|header| drop(header.as_object_mut().unwrap().remove("kid"))));
}

/// What stands twice means one thing to whoever reads the first and another to whoever reads the last.
#[tokio::test(flavor = "multi_thread")]
async fn b10_nothing_stands_twice() {
    let judge = Judge::new().await;
    let (header, payload) = (judge.header().to_string(), judge.claims.to_string());
    let with = |json: &str, member: &str| format!("{}, {member}}}", json.strip_suffix('}').unwrap());
    assert!(
        judge.verdict_on(&with(&header, r#""x": {"a": 1, "b": 1}"#), &with(&payload, r#""x": 1"#)).is_ok()
    );
    let kid = judge.header()["kid"].to_string();
    for member in [
        r#""alg": "RS256""#,
        r#""alg": "none""#,
        r#""\u0061lg": "none""#,
        &format!(r#""kid": {kid}"#),
        r#""typ": "JWT""#,
        r#""x": {"a": 1, "a": 2}"#,
    ] {
        assert!(judge.verdict_on(&with(&header, member), &payload).is_err(), "header: {member}");
    }
    let exp = judge.claims["exp"].as_i64().unwrap();
    for member in [
        &format!(r#""exp": {exp}"#),
        &format!(r#""exp": {}"#, exp + 1_000_000),
        r#""iss": "https://otpless.com""#,
        r#""\u0069ss": "https://otpless.example""#,
        r#""userId": "MO-0""#,
        r#""x": [{"a": 1, "a": 1}]"#,
    ] {
        assert!(judge.verdict_on(&header, &with(&payload, member)).is_err(), "payload: {member}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_token_of_more_than_16_kib_is_not_read() {
    let judge = Judge::new().await;
    let header = |spaces: usize| format!("{}{}", judge.header(), " ".repeat(spaces));
    let payload = |letters: usize| {
        let mut claims = judge.claims.clone();
        claims["x"] = "x".repeat(letters).into();
        claims.to_string()
    };
    let length = |spaces, letters| {
        // The signature of a key of 2048 bits has 342 characters.
        encoded(header(spaces)).len() + encoded(payload(letters)).len() + 342 + 2
    };
    let of_length = |wanted: usize| {
        (0..4_usize)
            .flat_map(|spaces| (11_000..13_000).map(move |letters| (spaces, letters)))
            .find(|(spaces, letters)| length(*spaces, *letters) == wanted)
            .map(|(spaces, letters)| (header(spaces), payload(letters)))
            .expect("a token of that length")
    };
    for (wanted, accepted) in [(16 * 1024, true), (16 * 1024 + 1, false)] {
        let (header, payload) = of_length(wanted);
        assert_eq!(judge.verdict_on(&header, &payload).is_ok(), accepted, "{wanted}");
    }
    for immense in [payload(1_000_000), "[".repeat(10_000_000)] {
        assert_eq!(judge.verdict_on(&header(0), &immense), Err(Invalid("is longer than 16 KiB")));
    }
}

/// Lenient decoders take many texts for one token, and a list of revoked tokens would know only one of them.
#[tokio::test(flavor = "multi_thread")]
async fn b10_there_is_one_way_to_write_a_token() {
    let judge = Judge::new().await;
    // Spaces until the last character of a segment has bits that mean nothing.
    let spaced = |json: String| (0..3).map(move |spaces| format!("{json}{}", " ".repeat(spaces)));
    let with_spare_bits = |json: String| encoded(spaced(json).find(|text| text.len() % 3 == 1).unwrap());
    let header = with_spare_bits(judge.header().to_string());
    let payload = with_spare_bits(judge.claims.to_string());
    let sign = |header: &str, payload: &str| judge.device.control.mint_raw(header, payload);
    let genuine = sign(&header, &payload);
    assert!(judge.verdict(&genuine).is_ok());
    let signature = genuine.rsplit('.').next().unwrap();

    for (change, what) in other_ways_to_write() {
        let changed = change(&header);
        assert!(judge.verdict(&sign(&changed, &payload)).is_err(), "header: {what}");
        let changed = change(&payload);
        assert!(judge.verdict(&sign(&header, &changed)).is_err(), "payload: {what}");
        let changed = change(signature);
        assert!(judge.verdict(&format!("{header}.{payload}.{changed}")).is_err(), "signature: {what}");
    }
    let other_alphabet = signature.replace('-', "+").replace('_', "/");
    assert_ne!(other_alphabet, signature);
    assert!(judge.verdict(&format!("{header}.{payload}.{other_alphabet}")).is_err());
    for around in [" {}", "{} ", "\n{}", "{}\0", "{}.", ".{}", "Bearer {}", "\u{feff}{}"] {
        assert!(judge.verdict(&around.replace("{}", &genuine)).is_err(), "{around:?}");
    }
}

type Change = fn(&str) -> String;

/// Texts that a lenient decoder takes for the same bytes.
fn other_ways_to_write() -> [(Change, &'static str); 8] {
    fn next_letter(segment: &str) -> String {
        let (rest, last) = segment.split_at(segment.len() - 1);
        // Sixteen letters in a row stand for the same two bits, and the first of them is the right one.
        let next = char::from(last.as_bytes()[0] + 1);
        let changed = format!("{rest}{next}");
        assert!("AQgw".contains(last), "the first of its sixteen");
        changed
    }
    [
        (|s| format!("{s}="), "one sign of padding"),
        (|s| format!("{s}=="), "padding"),
        (next_letter, "bits that mean nothing"),
        (|s| format!("{s}\n"), "a line break at the end"),
        (|s| format!("{}\r\n{}", &s[..8], &s[8..]), "a line break inside"),
        (|s| format!(" {s}"), "a space"),
        (|s| format!("{s}A"), "a character that makes no byte"),
        (|s| format!("{}%41", &s[..s.len() - 1]), "percent encoding"),
    ]
}
