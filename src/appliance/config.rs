//! What a site sets: the keys of `chexbox.toml`, each of which is also a flag of `chexbox serve`.
//!
//! In: the text of the file, and the flags, which win. Out: [`Settings`] of which every value was checked. Never: a key that
//! is not known, or a value that is quietly changed.

use super::destinations::{Destination, ForwardKeys};
use super::dicom_in::DicomIn;
use super::machine::{MACHINE_ID, PRODUCT_UUID};
use super::patients::Patients;
use crate::lang::Lang;
use crate::limits;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where the configuration lies unless told otherwise.
pub const FILE: &str = "/etc/chexbox/chexbox.toml";

/// Where the service listens unless told otherwise.
pub const LISTEN: &str = "127.0.0.1:8080";

/// Where the service keeps readings unless told otherwise.
pub const STATE: &str = "/var/lib/chexbox";

/// The keys. One struct is read from the file and from the flags, so that neither knows a key that the other does not.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Keys {
    /// Address to listen on, repeatable; 127.0.0.1:8080 unless given / 监听地址
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<Vec<SocketAddr>>,
    /// Certificate chain for TLS, PEM / TLS 证书
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key for TLS, PEM / TLS 私钥
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Listen beyond loopback without TLS, because a proxy of the site's own adds it / 由反向代理提供 TLS
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    pub plain_http_behind_proxy: Option<bool>,
    /// Public key that tokens are verified with, repeatable; without one no token is needed, and only loopback allowed / 令牌公钥
    #[arg(long, value_name = "FILE")]
    pub public_key: Option<Vec<PathBuf>>,
    /// File with the firmware's product UUID, where the service may not read the system's / product_uuid 文件
    #[arg(long, value_name = "FILE")]
    pub product_uuid: Option<PathBuf>,
    /// File with the machine id; /etc/machine-id unless given / machine-id 文件
    #[arg(long, value_name = "FILE")]
    pub machine_id: Option<PathBuf>,
    /// Folder for readings and the audit; /var/lib/chexbox unless given / 数据目录
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// findings25, findings10, or a folder with a bundle of your own; repeatable, the first is the one used unless a request
    /// names another; the models of the binary unless given / 模型
    #[arg(long, value_name = "MODEL")]
    pub model: Option<Vec<String>>,
    /// Operating point of a finding instead of the model's, for example pneumothorax=0.3; repeatable / 阈值
    #[arg(long, value_name = "FINDING=VALUE")]
    pub threshold: Option<Vec<String>>,
    /// Operating points that chexbox evaluate --choose wrote; repeatable / 阈值文件
    #[arg(long, value_name = "FILE")]
    pub thresholds: Option<Vec<PathBuf>>,
    /// Films read at the same time; all cores unless given / 同时阅片数
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// Requests that may wait for a reading; further ones are told to come again / 等待队列长度
    #[arg(long, value_name = "N")]
    pub queue: Option<usize>,
    /// Largest body of a request, MiB / 请求上限（MiB）
    #[arg(long, value_name = "N")]
    pub body_mib: Option<u64>,
    /// Most connections at once / 最大连接数
    #[arg(long, value_name = "N")]
    pub connections: Option<usize>,
    /// Most connections of one address at once / 单地址最大连接数
    #[arg(long, value_name = "N")]
    pub connections_per_peer: Option<usize>,
    /// Keep of each patient nothing but a pseudonym: the patient's id hashed with the site's key / 仅保存患者编号的密钥哈希
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    pub deidentify: Option<bool>,
    /// File with that key, at least 16 bytes; systemd's credential deidentify-key unless given / 去标识密钥文件
    #[arg(long, value_name = "FILE")]
    pub deidentify_key: Option<PathBuf>,
    /// Keep the picture of each film beside its reading / 保存胸片图像
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    pub keep_images: Option<bool>,
    /// Days after which readings are removed; 0 keeps them / 保存天数
    #[arg(long, value_name = "DAYS")]
    pub retain_days: Option<u32>,
    /// Days after which audit records leave the database for files beside it; 3650 unless given, 0 keeps them / 审计记录保存天数
    #[arg(long, value_name = "DAYS")]
    pub retain_audit_days: Option<u32>,
    /// Share of the disk, percent, beyond which the oldest readings are removed; 80 unless given / 磁盘占用上限（%）
    #[arg(long, value_name = "PERCENT")]
    pub retain_disk_percent: Option<u8>,
    /// Take films by C-STORE: a port of this machine alone, ADDRESS:PORT, or systemd for the socket that it passes under the
    /// name dicom / DICOM 接收端口
    #[arg(long, value_name = "PORT")]
    pub dicom: Option<String>,
    /// Our AE title; CHEXBOX unless given / 本机 AE 标题
    #[arg(long, value_name = "TITLE")]
    pub dicom_title: Option<String>,
    /// Modality that may send, by AE title, and from where; repeatable; needed beyond this machine / 允许发送的设备
    #[arg(long, value_name = "TITLE[@ADDRESS]")]
    pub dicom_peer: Option<Vec<String>>,
    /// Take secondary captures too / 同时接收二次截图
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    pub dicom_secondary_capture: Option<bool>,
    /// DICOM under TLS, with tls-cert and tls-key / DICOM 使用 TLS
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    pub dicom_tls: Option<bool>,
    /// Archive that results are sent to by chexbox forward, repeatable; a table [[forward]] in the file / 结果发送目标
    #[arg(long, value_name = "name=NAME,to=URL,objects=sr+sc,...")]
    pub forward: Option<Vec<ForwardKeys>>,
    /// Language of the objects that are sent, en or zh; that of the locale unless given / 发送对象的语言
    #[arg(long, value_name = "LANG", value_parser = language)]
    pub forward_lang: Option<Lang>,
}

fn language(text: &str) -> Result<Lang, String> {
    let known = [("en", Lang::En), ("zh", Lang::Zh)].into_iter().find(|(name, _)| *name == text);
    known.map(|(_, lang)| lang).ok_or_else(|| "allowed are en and zh".to_owned())
}

/// What holds for the service: every key with its value, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Addresses to listen on; empty where the file and the flags name none.
    pub listen: Vec<SocketAddr>,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// What stands between the service and clients elsewhere.
    pub proxy: Proxy,
    /// Public keys for tokens.
    pub public_keys: Vec<PathBuf>,
    /// File with the product UUID.
    pub product_uuid: PathBuf,
    /// File with the machine id.
    pub machine_id: PathBuf,
    /// Folder of the store.
    pub state: PathBuf,
    /// Models; empty for those of the binary.
    pub models: Vec<String>,
    /// Operating points set one by one.
    pub threshold: Vec<String>,
    /// Files of operating points.
    pub thresholds: Vec<PathBuf>,
    /// Films read at the same time; none for one a core.
    pub workers: Option<usize>,
    /// Requests that may wait.
    pub queue: usize,
    /// Largest body, bytes.
    pub body_bytes: u64,
    /// Most connections.
    pub connections: usize,
    /// Most connections of one address.
    pub connections_per_peer: usize,
    /// What is kept of patients.
    pub patients: Patients,
    /// Whether pictures of films are kept.
    pub keep_images: bool,
    /// Days that readings are kept.
    pub retain_days: Option<u32>,
    /// Days that audit records stay in the database.
    pub retain_audit_days: Option<u32>,
    /// Share of the disk, percent.
    pub retain_disk_percent: Option<u8>,
    /// Films that come by C-STORE; none where they do not.
    pub dicom: Option<DicomIn>,
    /// Archives that results are sent to, in the order of the file.
    pub forward: Vec<Destination>,
    /// Language of what is sent; none for that of the locale.
    pub forward_lang: Option<Lang>,
}

/// What stands between the service and clients elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Nothing.
    None,
    /// A proxy of the site's own that adds TLS.
    AddsTls,
}

/// Why a configuration is not accepted; all faults at once, in both languages.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, or a key that is not known.
    #[error("{0}")]
    Text(String),
    /// Values that cannot be meant.
    #[error("{}", .0.join("\n  "))]
    Values(Vec<String>),
}

impl Keys {
    /// The keys in the text of a file.
    ///
    /// # Errors
    /// [`ConfigError::Text`] with line, column, and the keys that are allowed.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|e| ConfigError::Text(e.to_string().trim_end().to_owned()))
    }

    /// These keys, and those of `file` where these say nothing.
    #[must_use]
    pub fn over(self, file: Self) -> Self {
        Self {
            listen: self.listen.or(file.listen),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            plain_http_behind_proxy: self.plain_http_behind_proxy.or(file.plain_http_behind_proxy),
            public_key: self.public_key.or(file.public_key),
            product_uuid: self.product_uuid.or(file.product_uuid),
            machine_id: self.machine_id.or(file.machine_id),
            state: self.state.or(file.state),
            model: self.model.or(file.model),
            threshold: self.threshold.or(file.threshold),
            thresholds: self.thresholds.or(file.thresholds),
            workers: self.workers.or(file.workers),
            queue: self.queue.or(file.queue),
            body_mib: self.body_mib.or(file.body_mib),
            connections: self.connections.or(file.connections),
            connections_per_peer: self.connections_per_peer.or(file.connections_per_peer),
            deidentify: self.deidentify.or(file.deidentify),
            deidentify_key: self.deidentify_key.or(file.deidentify_key),
            keep_images: self.keep_images.or(file.keep_images),
            retain_days: self.retain_days.or(file.retain_days),
            retain_audit_days: self.retain_audit_days.or(file.retain_audit_days),
            retain_disk_percent: self.retain_disk_percent.or(file.retain_disk_percent),
            dicom: self.dicom.or(file.dicom),
            dicom_title: self.dicom_title.or(file.dicom_title),
            dicom_peer: self.dicom_peer.or(file.dicom_peer),
            dicom_secondary_capture: self.dicom_secondary_capture.or(file.dicom_secondary_capture),
            dicom_tls: self.dicom_tls.or(file.dicom_tls),
            forward: self.forward.or(file.forward),
            forward_lang: self.forward_lang.or(file.forward_lang),
        }
    }

    /// Every key with its value.
    ///
    /// # Errors
    /// [`ConfigError::Values`] with all that cannot be meant.
    pub fn settings(self) -> Result<Settings, ConfigError> {
        let mut faults = Vec::new();
        let dicom = DicomIn::of(&self).unwrap_or_else(|of_dicom| {
            faults.extend(of_dicom);
            None
        });
        let patients = Patients::of(&self).unwrap_or_else(|of_patients| {
            faults.extend(of_patients);
            Patients::Stated
        });
        let forward = Destination::all(&self).unwrap_or_else(|of_forward| {
            faults.extend(of_forward);
            Vec::new()
        });
        let mut within = |key: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                faults.push(format!("{key} is {value}, allowed are {least} to {most} / {key} 应在 {least} 到 {most} 之间"));
            }
        };
        let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let queue = self.queue.unwrap_or(limits::READINGS_WAITING);
        let body_mib = self.body_mib.unwrap_or(limits::BODY_BYTES_MAX >> 20);
        let connections = self.connections.unwrap_or(limits::CONNECTIONS_MAX);
        let per_peer = self.connections_per_peer.unwrap_or(limits::CONNECTIONS_PER_PEER_MAX);
        if let Some(workers) = self.workers {
            within("workers", number(workers), 1, number(limits::WORKERS_MAX));
        }
        within("queue", number(queue), 0, number(limits::READINGS_WAITING_MAX));
        within("body-mib", body_mib, 1, limits::FILE_BYTES >> 20);
        within("connections", number(connections), 1, number(limits::CONNECTIONS_CONFIGURED_MAX));
        within("connections-per-peer", number(per_peer), 1, number(connections.max(1)));
        within("retain-disk-percent", self.retain_disk_percent.unwrap_or(1).into(), 1, 100);
        within("retain-days", self.retain_days.unwrap_or(0).into(), 0, limits::RETAIN_DAYS_MAX);
        let retain_audit_days = self.retain_audit_days.unwrap_or(limits::RETAIN_AUDIT_DAYS);
        within("retain-audit-days", retain_audit_days.into(), 0, limits::RETAIN_DAYS_MAX);
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                faults.push("tls-cert and tls-key are given together or not at all / tls-cert 与 tls-key 须同时给出".to_owned());
                None
            }
        };
        let settings = Settings {
            listen: self.listen.unwrap_or_default(),
            tls,
            proxy: if self.plain_http_behind_proxy == Some(true) { Proxy::AddsTls } else { Proxy::None },
            public_keys: self.public_key.unwrap_or_default(),
            product_uuid: self.product_uuid.unwrap_or_else(|| PRODUCT_UUID.into()),
            machine_id: self.machine_id.unwrap_or_else(|| MACHINE_ID.into()),
            state: self.state.unwrap_or_else(|| STATE.into()),
            models: self.model.unwrap_or_default(),
            threshold: self.threshold.unwrap_or_default(),
            thresholds: self.thresholds.unwrap_or_default(),
            workers: self.workers,
            queue,
            body_bytes: body_mib << 20,
            connections,
            connections_per_peer: per_peer,
            patients,
            keep_images: self.keep_images.unwrap_or(false),
            retain_days: self.retain_days.filter(|d| *d > 0),
            retain_audit_days: Some(retain_audit_days).filter(|d| *d > 0),
            retain_disk_percent: self.retain_disk_percent,
            dicom,
            forward,
            forward_lang: self.forward_lang,
        };
        faults.extend(settings.listen.iter().filter_map(|at| settings.may_listen(*at).err()));
        if faults.is_empty() { Ok(settings) } else { Err(ConfigError::Values(faults)) }
    }
}

impl Settings {
    /// Whether the service may listen at this address: beyond loopback it needs tokens, and TLS or a proxy that adds it.
    ///
    /// # Errors
    /// A sentence in both languages that names the key that is missing.
    pub fn may_listen(&self, address: SocketAddr) -> Result<(), String> {
        if address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        if self.public_keys.is_empty() {
            return Err(format!(
                "{address} is reached by other machines: set public-key, so that tokens are needed (chexbox token keygen) / \
                 {address} 可被其他机器访问：请设置 public-key"
            ));
        }
        if self.tls.is_none() && self.proxy == Proxy::None {
            return Err(format!(
                "{address} is reached by other machines: set tls-cert and tls-key (chexbox tls self-signed makes them), or \
                 plain-http-behind-proxy where a proxy adds TLS / {address} 可被其他机器访问：请设置 tls-cert 和 tls-key，\
                 或在有反向代理时设置 plain-http-behind-proxy"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, ConfigError> {
        Keys::parse(text)?.settings()
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_allowed_ones() {
        let said = Keys::parse("listne = [\"127.0.0.1:1\"]\n").unwrap_err().to_string();
        for part in ["listne", "line 1", "`listen`", "`keep-images`", "`retain-disk-percent`"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = Keys::parse("queue = 3\nworkers = 2\nkeep-images = true\n").unwrap();
        let flags = Keys { queue: Some(5), keep_images: Some(false), ..Keys::default() };
        let settings = flags.over(file).settings().unwrap();
        assert_eq!((settings.queue, settings.workers, settings.keep_images), (5, Some(2), false));
        assert_eq!((settings.body_bytes, settings.state), (64 << 20, PathBuf::from(STATE)));
    }

    #[test]
    fn values_outside_their_bounds_are_all_named_at_once() {
        let said = settings("queue = 100000\nworkers = 0\nbody-mib = 0\ntls-cert = \"a\"\n").unwrap_err().to_string();
        for part in ["queue is 100000", "workers is 0", "body-mib is 0", "tls-cert and tls-key"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn nothing_beyond_loopback_is_listened_on_without_tokens_and_tls() {
        let tls = "tls-cert = \"c\"\ntls-key = \"k\"\n";
        let (key, proxy) = ("public-key = [\"p\"]\n", "plain-http-behind-proxy = true\n");
        for address in ["0.0.0.0:80", "[::]:80", "192.168.1.2:443", "[2001:db8::1]:80", "[::ffff:10.0.0.1]:80"] {
            let with = |more: &str| settings(&format!("listen = [\"127.0.0.1:1\", \"{address}\"]\n{more}"));
            for bad in [String::new(), tls.to_owned(), key.to_owned(), proxy.to_owned(), format!("{tls}{proxy}")] {
                assert!(with(&bad).is_err(), "{address} {bad}");
            }
            for good in [format!("{tls}{key}"), format!("{key}{proxy}")] {
                assert!(with(&good).is_ok(), "{address} {good}");
            }
        }
        for address in ["127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
            assert!(settings(&format!("listen = [\"{address}\"]")).is_ok(), "{address}");
        }
    }
}
