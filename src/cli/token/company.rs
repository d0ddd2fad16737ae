//! The company's side: keys, signing, and the register of what was signed, which lies beside the key.

use super::super::output::print;
use super::{Exit, Failure, ScopeArg, WrongCommandLine, key_file, time};
use crate::cli::load;
use chexbox::http::token::{Claims, SecretKey};
use chexbox::limits::{LABELS_BYTES_MAX, TOKEN_BYTES_MAX};
use jiff::Timestamp;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Options of `token keygen`.
#[derive(clap::Args)]
pub struct KeygenArgs {
    /// Folder for chexbox.key (secret) and chexbox.pub (public) / 输出目录
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Options of `token issue`.
#[derive(clap::Args)]
pub struct IssueArgs {
    /// Secret key / 私钥
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What `chexbox token fingerprint` says on the machine / 设备指纹
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: String,
    /// Who uses it: a person, a ward, a program / 使用者
    #[arg(long)]
    name: String,
    /// What it opens / 权限
    #[arg(long, value_enum)]
    scope: ScopeArg,
    /// Until when: 90d, 2027-12-31 or 2027-12-31T18:00:00Z / 有效期至
    #[arg(long, value_name = "TIME")]
    expires: String,
    /// From when on; now unless given / 生效时间
    #[arg(long, value_name = "TIME")]
    not_before: Option<String>,
}

/// Makes a pair of keys; never over one that is there.
pub fn keygen(args: &KeygenArgs) -> Result<Exit, Failure> {
    let said = |path: &Path, e: &std::io::Error| format!("{} cannot be written: {e}", path.display());
    std::fs::create_dir_all(&args.out).map_err(|e| said(&args.out, &e))?;
    let (secret, public) = SecretKey::generate()?;
    let (key, open) = (args.out.join("chexbox.key"), args.out.join("chexbox.pub"));
    for (path, text, mode) in [(&key, secret.to_text()?, 0o600), (&open, public.to_text()?, 0o644)] {
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{text}").and_then(|()| file.sync_all()));
        written.map_err(|e| said(path, &e))?;
    }
    let text = format!(
        "{}  secret: keep it offline and keep a copy / 私钥：离线保存并备份\n{}  public: for chexbox serve --public-key / 公钥\n",
        key.display(),
        open.display()
    );
    print(text.as_bytes())?;
    Ok(Exit::Done)
}

/// Signs a token and prints it; a line of the register says so.
pub fn issue(args: &IssueArgs) -> Result<Exit, Failure> {
    let secret: SecretKey = key_file(&args.key)?.parse().map_err(|e| format!("{}: {e}", args.key.display()))?;
    let groups: Vec<&str> = args.fingerprint.split('-').collect();
    if groups.len() != 8 || groups.iter().any(|g| g.len() != 4 || !g.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Err(WrongCommandLine(
            "a fingerprint has eight groups of four digits: copy it from chexbox token fingerprint".into(),
        )
        .into());
    }
    let now = Timestamp::now();
    let mut id = [0; 8];
    getrandom::fill(&mut id).map_err(|e| format!("the system gives no random numbers: {e}"))?;
    let claims = Claims {
        id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
        name: args.name.clone(),
        fingerprint: args.fingerprint.to_ascii_lowercase(),
        scope: args.scope.into(),
        issued: now,
        not_before: args.not_before.as_deref().map_or(Ok(now), |text| time(text, now))?,
        expires: time(&args.expires, now)?,
    };
    let token = secret.sign(&claims)?;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(format!("the token would have {} bytes, machines read at most {TOKEN_BYTES_MAX}", token.len()).into());
    }
    let path = register(&args.key);
    let line = serde_json::to_string(&claims)? + "\n";
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let noted = file.and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()));
    noted.map_err(|e| format!("{} cannot be written, so nothing was issued: {e}", path.display()))?;
    crate::cli::say(&format!("token {} for {}, until {}", claims.id, claims.name, claims.expires));
    print(format!("{token}\n").as_bytes())?;
    Ok(Exit::Done)
}

/// Where the register of a key lies.
fn register(key: &Path) -> PathBuf {
    key.with_extension("issued.jsonl")
}

/// Lists the register of a key.
pub fn list(key: &Path) -> Result<Exit, Failure> {
    let path = register(key);
    let bytes = load::read_bounded(&path, LABELS_BYTES_MAX).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut rows = vec![["Id", "Name", "Scope", "Machine", "Issued", "Expires"].map(str::to_owned).to_vec()];
    for (number, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        let claims: Claims = serde_json::from_str(line).map_err(|e| format!("{} line {}: {e}", path.display(), number + 1))?;
        let machine = claims.fingerprint.chars().take(9).collect::<String>() + "...";
        rows.push(vec![
            claims.id,
            claims.name,
            claims.scope.to_string(),
            machine,
            claims.issued.to_string(),
            claims.expires.to_string(),
        ]);
    }
    print(chexbox::report::aligned(&rows).as_bytes())?;
    Ok(Exit::Done)
}
