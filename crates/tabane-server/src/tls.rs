//! The server's own certificate authority, made at first start, and the certificate that the API is served with.
//!
//! Clients and hosts do not trust any public authority: they pin this one by its fingerprint (SHA-256 of the DER).

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::{Error, Result};

/// SHA-256 of the authority's certificate, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaFingerprint(pub String);

pub struct Authority {
    pub fingerprint: CaFingerprint,
    pub ca_pem: String,
    folder: PathBuf,
}

/// Writes a new file that nobody but us may read: whole or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed =
        |action: &'static str| move |source| Error::File { action, path: path.to_path_buf(), source };
    let fresh = path.with_extension("new");
    let _ = std::fs::remove_file(&fresh);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(failed("create"))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write"))?;
    std::fs::rename(&fresh, path).map_err(failed("replace"))?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(failed("sync the folder of"))
}

impl Authority {
    /// Opens the authority in this folder, or makes it.
    pub fn open(folder: &Path) -> Result<Self> {
        let (key_path, certificate_path) = (folder.join("ca.key"), folder.join("ca.pem"));
        if !certificate_path.exists() {
            let (certificate, key) = make_authority().map_err(|e| unusable(folder, e))?;
            // The key first: a certificate without its key would look like a finished authority.
            write_private(&key_path, key.as_bytes())?;
            write_private(&certificate_path, certificate.as_bytes())?;
        }
        let ca_pem = std::fs::read_to_string(&certificate_path).map_err(|source| Error::File {
            action: "read",
            path: certificate_path,
            source,
        })?;
        let der = CertificateDer::from_pem_slice(ca_pem.as_bytes()).map_err(|e| unusable(folder, e))?;
        let fingerprint = CaFingerprint(fingerprint(&der));
        Ok(Self { fingerprint, ca_pem, folder: folder.to_path_buf() })
    }

    /// TLS for the API, with a fresh certificate for these names and addresses.
    pub fn server_config(&self, names: Vec<String>) -> Result<Arc<rustls::ServerConfig>> {
        let build = || -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
            let ca_key = KeyPair::from_pem(&std::fs::read_to_string(self.folder.join("ca.key"))?)?;
            // Only the name and the key of the authority are in what it signs, so its parameters need not be read back.
            let issuer = Issuer::new(authority_params()?, ca_key);
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(names)?;
            params.distinguished_name = subject("Tabane server");
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            let certificate = params.signed_by(&key, &issuer)?;
            let chain = vec![
                certificate.der().clone(),
                CertificateDer::from_pem_slice(self.ca_pem.as_bytes())?.into_owned(),
            ];
            let key = PrivateKeyDer::try_from(key.serialize_der())?;
            let mut config = rustls::ServerConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(chain, key)?;
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Ok(Arc::new(config))
        };
        build().map_err(|e| unusable(&self.folder, e))
    }
}

pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn unusable(folder: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Authority { path: folder.to_path_buf(), source: source.into() }
}

fn subject(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn authority_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = subject("Tabane authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    // QEMU and GnuTLS refuse certificates that do not say what their key is for.
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

fn make_authority() -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    Ok((authority_params()?.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn fingerprint(der: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect()
}
