//! Certificates, good and bad.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::{ServerConfig, SupportedProtocolVersion, pki_types::PrivateKeyDer};

pub(super) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(super) fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "An authority for a test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// A server's certificate in the making, or made.
pub(super) struct Leaf {
    params: CertificateParams,
    key: KeyPair,
    certificate: Option<rcgen::Certificate>,
}

impl Leaf {
    pub(super) fn of(host: &str) -> Self {
        let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Self { params, key: KeyPair::generate().expect("a key"), certificate: None }
    }

    pub(super) fn valid(mut self, from: i32, to: i32) -> Self {
        self.params.not_before = date_time_ymd(from, 1, 1);
        self.params.not_after = date_time_ymd(to, 1, 1);
        self
    }

    pub(super) fn for_clients(mut self) -> Self {
        self.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self
    }

    pub(super) fn signed_by(mut self, issuer: &Authority) -> Self {
        self.certificate = Some(self.params.signed_by(&self.key, issuer).expect("a certificate"));
        self
    }

    pub(super) fn self_signed(mut self) -> Self {
        self.certificate = Some(self.params.self_signed(&self.key).expect("a certificate"));
        self
    }

    /// What a server with this certificate is made of, which speaks `version` alone.
    pub(super) fn served_with(&self, version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        let certificate = self.certificate.as_ref().expect("a signed certificate");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[version])
            .expect("a version that ring can do")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.expect("a key that is the certificate's"))
    }
}
