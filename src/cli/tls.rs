//! `chexbox tls`: certificates for a network without an authority of its own.

use super::{Exit, Failure, WrongCommandLine, print};
use jiff::{ToSpan, Zoned, civil::Date};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use sha2::{Digest, Sha256};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Options of `tls`.
#[derive(clap::Args)]
pub struct TlsArgs {
    #[command(subcommand)]
    verb: TlsVerb,
}

/// What to do.
#[derive(clap::Subcommand)]
enum TlsVerb {
    /// Make a key and a certificate that it signs itself / 生成自签名证书
    SelfSigned(SelfSignedArgs),
}

/// Options of `tls self-signed`.
#[derive(clap::Args)]
struct SelfSignedArgs {
    /// Name or address under which the box is reached; several times for several / 主机名或 IP，可重复
    #[arg(long, value_name = "NAME", required = true)]
    name: Vec<String>,
    /// Folder for chexbox.crt and chexbox.key; none of them may be there / 输出目录
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How long it is valid; some browsers refuse more than 825 days / 有效天数
    #[arg(long, value_name = "DAYS", default_value_t = 825, value_parser = clap::value_parser!(i32).range(1..=3_650))]
    days: i32,
}

/// Runs the verb.
///
/// # Errors
/// A sentence that says which name or file is the matter.
pub fn run(args: &TlsArgs) -> Result<Exit, Failure> {
    let TlsVerb::SelfSigned(args) = &args.verb;
    let today = Zoned::now().date();
    let (certificate, key) = self_signed(&args.name, today, args.days)?;
    std::fs::create_dir_all(&args.out).map_err(|e| format!("{}: {e}", args.out.display()))?;
    let (crt, pem) = (args.out.join("chexbox.crt"), args.out.join("chexbox.key"));
    // The key first: a certificate is of no use without it.
    write_new(&pem, &key.serialize_pem(), 0o600)?;
    write_new(&crt, &certificate.pem(), 0o644)?;
    print(format!("{}\n", words(&crt, &pem, &fingerprint(certificate.der()), args)).as_bytes())?;
    Ok(Exit::Done)
}

/// A certificate for these names, valid from the day before `today`, so that a client whose clock is behind accepts it.
fn self_signed(names: &[String], today: Date, days: i32) -> Result<(rcgen::Certificate, KeyPair), Failure> {
    let wrong = |e: rcgen::Error| WrongCommandLine(format!("--name: no certificate can carry {}: {e}", names.join(", ")));
    let mut params = CertificateParams::new(names.to_vec()).map_err(wrong)?;
    let first = names.first().map_or("chexbox", String::as_str);
    params.distinguished_name.push(DnType::CommonName, first);
    params.distinguished_name.push(DnType::OrganizationName, "chexbox");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let day = |date: Date| -> Result<_, Failure> {
        let (month, day) = (u8::try_from(date.month())?, u8::try_from(date.day())?);
        Ok(rcgen::date_time_ymd(i32::from(date.year()), month, day))
    };
    params.not_before = day(today.checked_sub(1.day())?)?;
    params.not_after = day(today.checked_add(days.days())?)?;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key).map_err(wrong)?;
    Ok((certificate, key))
}

/// Writes a file that was not there.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => format!("{} is there already; move it away or choose another --out", path.display()),
        _ => format!("{}: {e}", path.display()),
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(())
}

/// SHA-256 of the certificate as browsers show it.
fn fingerprint(der: &[u8]) -> String {
    let pairs: Vec<String> = Sha256::digest(der).iter().map(|b| format!("{b:02X}")).collect();
    pairs.join(":")
}

fn words(crt: &Path, pem: &Path, fingerprint: &str, args: &SelfSignedArgs) -> String {
    format!(
        "{}  certificate for {}, {} days / 证书
{}  its key: keep it on this box / 私钥，请勿外传
SHA-256 {fingerprint}

Clients trust it once they have the .crt file: curl --cacert chexbox.crt ..., or import it in the browser and compare the
SHA-256 above. 客户端导入 .crt 文件并核对上面的 SHA-256 后即可信任。",
        crt.display(),
        args.name.join(", "),
        args.days,
        pem.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_what_was_asked_and_nonsense_is_refused() {
        let today = Date::constant(2026, 2, 28);
        let names = ["reading-room.local".to_owned(), "192.0.2.7".to_owned(), "2001:db8::7".to_owned()];
        let (certificate, key) = self_signed(&names, today, 825).unwrap();
        let der: &[u8] = certificate.der();
        let holds = |bytes: &[u8]| der.windows(bytes.len()).any(|w| w == bytes);
        assert!(holds(b"reading-room.local") && holds(&[192, 0, 2, 7]), "the names stand in the certificate");
        assert!(holds(b"260227000000Z") && holds(b"280602000000Z"), "valid from the day before");
        assert!(key.serialize_pem().contains("PRIVATE KEY"));
        assert!(self_signed(&["röntgen".to_owned()], today, 1).is_err());
        assert_eq!(fingerprint(b"").len(), 95);
    }
}
