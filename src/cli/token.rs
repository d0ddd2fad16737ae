//! `chexbox token ...`: keys and tokens on the company's side, fingerprint and revocation on the machine.

mod company;
mod machine;
mod show;

use super::{Exit, Failure, WrongCommandLine, load};
use chexbox::http::token::Scope;
use chexbox::limits::KEY_FILE_BYTES_MAX;
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "Examples / 示例:
  chexbox token keygen --out keys/              at the company, once: a pair of keys / 公司端：生成密钥对
  chexbox token fingerprint                     on the machine, as root / 设备端：本机指纹
  chexbox token issue --key keys/chexbox.key --fingerprint 4f1c-... --name \"ward 3\" --scope read --expires 2027-12-31
  chexbox token list --key keys/chexbox.key     what was issued with this key / 已签发的令牌
  chexbox token show v4.public.... --public-key keys/chexbox.pub
  chexbox token revoke 9f86d081884c7d65 --reason lost        on the machine / 设备端：吊销
  chexbox token list --state /var/lib/chexbox   what was used and revoked there / 设备上使用和吊销的令牌

The secret key never lies on the machine; chexbox serve gets the public one (public-key). Clients send a token as
\"Authorization: Bearer TOKEN\".
私钥不得存放在设备上；chexbox serve 只需公钥。客户端在请求头中发送 Authorization: Bearer 令牌。";

/// Options of `token`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct TokenArgs {
    #[command(subcommand)]
    step: Step,
}

#[derive(clap::Subcommand)]
enum Step {
    /// Make a pair of keys, at the company / 生成密钥对
    Keygen(company::KeygenArgs),
    /// Show what names this machine, which tokens are issued for / 显示本机指纹
    Fingerprint(machine::FingerprintArgs),
    /// Issue a token with the secret key, offline / 签发令牌
    Issue(company::IssueArgs),
    /// List the tokens issued with a key, or known to a machine / 列出令牌
    List(ListArgs),
    /// Revoke a token on this machine, at once / 吊销令牌
    Revoke(machine::RevokeArgs),
    /// Show what a token says, and whether it holds / 查看令牌内容
    Show(show::ShowArgs),
    /// Take the clock for right again, after it had run ahead and was corrected / 校正时钟后重新接受当前时间
    AcceptClock(machine::AcceptClockArgs),
}

/// Options of `token list`.
#[derive(clap::Args)]
struct ListArgs {
    /// Secret key whose register is listed / 私钥
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    key: Option<PathBuf>,
    /// State folder of the machine, /var/lib/chexbox unless given / 状态目录
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// A sentence that says what failed and what to do.
pub fn run(args: &TokenArgs) -> Result<Exit, Failure> {
    match &args.step {
        Step::Keygen(args) => company::keygen(args),
        Step::Fingerprint(args) => machine::fingerprint(args),
        Step::Issue(args) => company::issue(args),
        Step::List(ListArgs { key: Some(key), .. }) => company::list(key),
        Step::List(args) => machine::list(args.state.as_deref()),
        Step::Revoke(args) => machine::revoke(args),
        Step::Show(args) => show::show(args),
        Step::AcceptClock(args) => machine::accept_clock(args),
    }
}

/// What a token opens, as it is written on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
enum ScopeArg {
    /// Read films and look at readings / 读片和查看
    Read,
    /// Also delete readings / 另可删除
    Admin,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Read => Self::Read,
            ScopeArg::Admin => Self::Admin,
        }
    }
}

/// A time as people write it: `90d`, `2027-12-31` (to the end of that day, UTC) or `2027-12-31T18:00:00Z`.
fn time(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let wrong = || WrongCommandLine(format!("{text} is no time: write 90d, 2027-12-31 or 2027-12-31T18:00:00Z"));
    if let Some(days) = text.strip_suffix('d') {
        let days: u32 = days.parse().map_err(|_| wrong())?;
        let span = SignedDuration::from_hours(i64::from(days) * 24);
        return Ok(now.checked_add(span).map_err(|_| wrong())?);
    }
    // A date would also parse out of a time.
    if text.len() == "2027-12-31".len() {
        let next = text.parse::<Date>().and_then(Date::tomorrow).map_err(|_| wrong())?;
        return Ok(next.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp());
    }
    Ok(text.parse::<Timestamp>().map_err(|_| wrong())?)
}

/// The text of a key file.
fn key_file(path: &Path) -> Result<String, Failure> {
    let bytes = load::read_bounded(path, KEY_FILE_BYTES_MAX).map_err(|e| format!("{}: {e}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| format!("{}: this is no key", path.display()).into())
}

/// A time as it is printed.
fn when(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_days_from_now_the_end_of_a_day_or_an_instant() {
        let now: Timestamp = "2026-11-23T04:00:00Z".parse().unwrap();
        for (text, want) in [
            ("90d", Some("2027-02-21T04:00:00Z")),
            ("0d", Some("2026-11-23T04:00:00Z")),
            ("2027-12-31", Some("2028-01-01T00:00:00Z")),
            ("2027-12-31T18:00:00Z", Some("2027-12-31T18:00:00Z")),
            ("2027-12-31T18:00:00+08:00", Some("2027-12-31T10:00:00Z")),
            ("", None),
            ("d", None),
            ("-1d", None),
            ("4294967295d", None),
            ("2027-02-30", None),
            ("9999-12-31", None),
            ("tomorrow", None),
        ] {
            let want = want.map(|w| w.parse::<Timestamp>().unwrap());
            assert_eq!(time(text, now).ok(), want, "{text}");
        }
    }
}
