//! What a token says.

use super::super::output::print;
use super::{Exit, Failure, key_file};
use chexbox::http::token::{Claims, PublicKey, signed_claims, unverified_claims};
use chexbox::limits::TOKEN_BYTES_MAX;
use jiff::Timestamp;
use std::io::Read;
use std::path::PathBuf;

/// Options of `token show`.
#[derive(clap::Args)]
pub struct ShowArgs {
    /// The token; - reads it from standard input / 令牌
    token: String,
    /// Public key to check the signature with / 公钥
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
}

/// Prints a token's claims, and whether its signature holds where a key is given.
pub fn show(args: &ShowArgs) -> Result<Exit, Failure> {
    let token = match args.token.as_str() {
        "-" => {
            let mut text = String::new();
            let most = u64::try_from(TOKEN_BYTES_MAX + 2)?;
            std::io::stdin().take(most).read_to_string(&mut text).map_err(|e| format!("standard input: {e}"))?;
            text
        }
        token => token.to_owned(),
    };
    let (claims, signature) = match &args.public_key {
        None => (unverified_claims(token.trim())?, "not checked: give --public-key / 未校验"),
        Some(path) => {
            let key: PublicKey = key_file(path)?.parse().map_err(|e| format!("{}: {e}", path.display()))?;
            (signed_claims(&[key], token.trim())?, "holds / 有效")
        }
    };
    print(table(&claims, signature).as_bytes())?;
    Ok(Exit::Done)
}

fn table(claims: &Claims, signature: &str) -> String {
    let now = Timestamp::now();
    let validity = if now >= claims.expires {
        "expired / 已过期"
    } else if now < claims.not_before {
        "not valid yet / 尚未生效"
    } else {
        "valid now / 有效"
    };
    let rows = [
        ("Id / 编号", claims.id.clone()),
        ("Name / 使用者", claims.name.clone()),
        ("Scope / 权限", claims.scope.to_string()),
        ("Machine / 设备", claims.fingerprint.clone()),
        ("Issued / 签发", claims.issued.to_string()),
        ("From / 生效", claims.not_before.to_string()),
        ("Until / 到期", claims.expires.to_string()),
        ("Time / 时间", validity.to_owned()),
        ("Signature / 签名", signature.to_owned()),
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    chexbox::report::aligned(&rows)
}
