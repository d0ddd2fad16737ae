//! The machine's side: what names it, which tokens it has seen and no longer lets in.

use super::super::output::print;
use super::{Exit, Failure, WrongCommandLine, when};
use crate::cli::STATE;
use chexbox::appliance::machine::{self, KnownBy, MACHINE_ID, PRODUCT_UUID};
use chexbox::store::{Actor, Store};
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// Options of `token fingerprint`.
#[derive(clap::Args)]
pub struct FingerprintArgs {
    /// File with the firmware's product UUID / 主板 UUID 文件
    #[arg(long, value_name = "FILE", default_value = PRODUCT_UUID)]
    product_uuid: PathBuf,
    /// File with the machine id / 机器 ID 文件
    #[arg(long, value_name = "FILE", default_value = MACHINE_ID)]
    machine_id: PathBuf,
}

/// Options of `token revoke`.
#[derive(clap::Args)]
pub struct RevokeArgs {
    /// The token's id, as `token list` and `token show` give it / 令牌编号
    id: String,
    /// Why, for the audit / 原因
    #[arg(long, default_value = "")]
    reason: String,
    /// State folder of the machine / 状态目录
    #[arg(long, value_name = "DIR", default_value = STATE)]
    state: PathBuf,
}

/// Options of `token accept-clock`.
#[derive(clap::Args)]
pub struct AcceptClockArgs {
    /// State folder of the machine / 状态目录
    #[arg(long, value_name = "DIR", default_value = STATE)]
    state: PathBuf,
}

/// Prints what names this machine.
pub fn fingerprint(args: &FingerprintArgs) -> Result<Exit, Failure> {
    let fingerprint = machine::fingerprint(&args.product_uuid, &args.machine_id)?;
    if fingerprint.known_by() == KnownBy::InstallationAlone {
        crate::cli::say(
            "this machine has no product UUID: its fingerprint is of the installation alone, and a copy of the disk has the same\n\
             本机没有主板 UUID：指纹仅由系统安装决定，复制硬盘会得到相同指纹",
        );
    }
    print(format!("{fingerprint}\n").as_bytes())?;
    Ok(Exit::Done)
}

/// Whoever stands at the machine.
fn operator() -> Actor {
    Actor { name: "command line".to_owned(), peer: None, at_ms: Timestamp::now().as_millisecond() }
}

/// Revokes a token; a daemon that is running sees it at once.
pub fn revoke(args: &RevokeArgs) -> Result<Exit, Failure> {
    if args.id.len() != 16 || !args.id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        let what = "a token's id has 16 digits of 0-9 and a-f: chexbox token show prints it";
        return Err(WrongCommandLine(what.to_owned()).into());
    }
    let new = Store::open_beside(&args.state)?.revoke(&args.id, &args.reason, &operator())?;
    let said = if new { "is revoked / 已吊销" } else { "was revoked before / 此前已吊销" };
    print(format!("{} {said}\n", args.id).as_bytes())?;
    Ok(Exit::Done)
}

/// Lists what was used and what is revoked here.
pub fn list(state: Option<&Path>) -> Result<Exit, Failure> {
    let store = Store::open_beside(state.unwrap_or_else(|| Path::new(STATE)))?;
    let mut rows = vec![["Id", "Name", "Used", "Last used", "Revoked", "Reason"].map(str::to_owned).to_vec()];
    let mut revoked = store.revocations()?;
    for used in store.token_uses()? {
        let place = revoked.iter().position(|r| r.token == used.token);
        let revocation = place.map(|p| revoked.swap_remove(p));
        let (since, reason) = revocation.map(|r| (when(r.at_ms), r.reason)).unwrap_or_default();
        rows.push(vec![used.token, used.name, used.times.to_string(), when(used.last_ms), since, reason]);
    }
    for revocation in revoked {
        let none = String::new;
        rows.push(vec![revocation.token, none(), "0".to_owned(), none(), when(revocation.at_ms), revocation.reason]);
    }
    print(chexbox::report::aligned(&rows).as_bytes())?;
    Ok(Exit::Done)
}

/// Takes the clock for right again.
pub fn accept_clock(args: &AcceptClockArgs) -> Result<Exit, Failure> {
    let by = operator();
    let store = Store::open_beside(&args.state)?;
    let before = store.highest_ms()?;
    store.accept_clock(&by)?;
    let text = format!(
        "the highest time seen was {}; it is {} now / 此前最高时间 {}，现为 {}\n",
        when(before),
        when(by.at_ms),
        when(before),
        when(by.at_ms)
    );
    print(text.as_bytes())?;
    Ok(Exit::Done)
}
