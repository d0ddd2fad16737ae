//! The verbs of the command line, one file each. Files, folders, the terminal and the clock are
//! touched here; what a film says is decided in the library.

mod answer;
mod audit;
mod bench;
mod compare;
mod deidentify;
mod evaluate;
mod files;
mod forward;
mod in_order;
mod labels;
mod load;
mod memory;
mod model;
mod models;
mod objects;
mod output;
mod pictures;
mod pixels;
mod probe;
mod read;
mod serve;
mod test_film;
mod tls;
mod token;
#[cfg(feature = "train")]
mod train;
mod version;
mod watch;

use output::print;
pub use output::say;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// What stands in front of every help text.
const ABOUT: &str = "Chest X-ray screening in a box: reads frontal chest radiographs offline.\n\
胸部X线片筛查：离线读取正位胸片，给出所见概率、热图和报告。\n\n\
A screening aid for trained staff, not a diagnosis. 仅供专业人员筛查参考，不作为诊断依据。";

const EXAMPLES: &str = "Examples / 示例:
  chexbox read                              the built-in drawn test film / 内置测试片
  chexbox read film.dcm                     one film, a table for people / 单张胸片，表格输出
  chexbox read films/ --heatmaps out        a folder, with heat maps / 整个文件夹，输出热图
  chexbox read films/ --json > a.jsonl      one record a line / 每行一条记录
  chexbox read film.png --lang zh           in Chinese / 中文
  chexbox read film.dcm --sr out --sc out   DICOM objects for an archive / 供归档的 DICOM 对象
  chexbox serve                             films by web page, HTTP and DICOM / 启动服务（网页、接口、DICOM）
  chexbox forward --status                  what waits to be sent to the archive / 待发送队列
  chexbox watch inbox/                      read what a folder receives / 监视文件夹
  chexbox deidentify film.dcm --out out     a copy without the patient / 去标识副本
  chexbox models                            the models in this binary / 内置模型
  chexbox bench                             how long the network takes here / 网络计时
  chexbox model --help                      look into, check, export, quantize models / 模型工具

Exit codes / 退出码:
  0  every film was read / 全部读取
  1  at least one film was refused (its record says why) / 至少一张被拒绝
  2  the command line is wrong / 命令行有误
  3  the run could not be completed: a model or an output failed / 未能完成运行";

/// Where the daemon keeps its state unless told otherwise.
const STATE: &str = "/var/lib/chexbox";

/// `chexbox VERB ...`
#[derive(Parser)]
#[command(name = "chexbox", about = ABOUT, after_help = EXAMPLES, max_term_width = 110)]
#[command(arg_required_else_help = true, args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    /// Print the version; with -v also what computes: engine, kernels, the arithmetic of each model / 版本
    #[arg(short = 'V', long)]
    version: bool,
    /// More of the version / 详细
    #[arg(short, long, requires = "version")]
    verbose: bool,
    /// What to do.
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// The verbs.
#[derive(Subcommand)]
pub enum Verb {
    /// Read films: findings, heat maps, records / 读片
    Read(read::ReadArgs),
    /// Read what a shared folder receives, and move it to done/ or refused/ / 监视共享文件夹
    Watch(watch::WatchArgs),
    /// Copy DICOM films without their patients, after the PS3.15 Basic Profile / 去标识
    Deidentify(deidentify::DeidentifyArgs),
    /// Evaluate a model on films whose labels are known, choose operating points / 评价模型，选定阈值
    Evaluate(evaluate::EvaluateArgs),
    /// Compare a model with readers on the same films / 与医生比较
    Compare(compare::CompareArgs),
    /// Merge label files / 合并标签文件
    Labels(labels::LabelsArgs),
    /// Serve readings over HTTP, with a page for people / 启动服务
    Serve(Box<serve::ServeArgs>),
    /// Send results on to archives (PACS) by C-STORE and STOW-RS / 向 PACS 发送结果
    Forward(forward::ForwardArgs),
    /// Check a running service with the built-in test film / 检查运行中的服务
    Probe(probe::ProbeArgs),
    /// List the models in this binary, their findings and operating points / 列出模型
    Models(models::ModelsArgs),
    /// Time the network, or a whole reading, on this machine / 计时
    Bench(bench::BenchArgs),
    /// Show, verify, export or quantize a model / 查看、检查、导出、量化模型
    Model(model::ModelArgs),
    /// Keys and access tokens of the service / 密钥与访问令牌
    Token(token::TokenArgs),
    /// What happened on this machine, and whether the record of it is whole / 审计记录
    Audit(audit::AuditArgs),
    /// Write the samples that a DICOM file stores, and their attributes / 输出 DICOM 原始像素
    Pixels(pixels::PixelsArgs),
    /// Write the drawn test film as a PNG file / 输出测试片
    TestFilm(test_film::TestFilmArgs),
    /// Make a certificate for the service on a local network / 生成证书
    Tls(tls::TlsArgs),
    /// Train models from label and image folders with libtorch / 训练模型
    #[cfg(feature = "train")]
    Train(Box<train::TrainArgs>),
    /// Split the films of a config into k folds / 划分交叉验证折
    #[cfg(feature = "train")]
    Folds(train::FoldsArgs),
}

/// What the user wrote cannot be meant; clap cannot know.
#[derive(Debug)]
pub struct WrongCommandLine(pub String);

impl std::fmt::Display for WrongCommandLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongCommandLine {}

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All that was asked for was done.
    Done,
    /// At least one film was refused.
    SomeRefused,
    /// The command line is wrong.
    WrongCommandLine,
    /// The run could not be completed.
    CannotRun,
}

impl Exit {
    /// How a run ends that failed with this error.
    pub fn of(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Self {
        if error.is::<WrongCommandLine>() { Self::WrongCommandLine } else { Self::CannotRun }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::from(0),
            Exit::SomeRefused => Self::from(1),
            // clap's own code for it.
            Exit::WrongCommandLine => Self::from(2),
            Exit::CannotRun => Self::from(3),
        }
    }
}

/// Why a verb could not run; a sentence for the terminal.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

impl CommandLine {
    /// Runs the verb.
    ///
    /// # Errors
    /// A sentence that says what failed and what to do.
    pub fn run(self) -> Result<Exit, Failure> {
        match self.verb {
            Some(verb) => verb.run(),
            None => version::run(if self.verbose { version::Detail::WhatComputes } else { version::Detail::Plain }),
        }
    }
}

impl Verb {
    fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Read(args) => read::run(&args),
            Self::Watch(args) => watch::run(&args),
            Self::Deidentify(args) => deidentify::run(&args),
            Self::Evaluate(args) => evaluate::run(&args),
            Self::Compare(args) => compare::run(&args),
            Self::Labels(args) => labels::run(&args),
            Self::Serve(args) => serve::run(&args),
            Self::Forward(args) => forward::run(&args),
            Self::Probe(args) => probe::run(&args),
            Self::Models(args) => models::run(&args),
            Self::Bench(args) => bench::run(&args),
            Self::Model(args) => model::run(&args),
            Self::Token(args) => token::run(&args),
            Self::Audit(args) => audit::run(&args),
            Self::Pixels(args) => pixels::run(&args),
            Self::TestFilm(args) => test_film::run(&args),
            Self::Tls(args) => tls::run(&args),
            #[cfg(feature = "train")]
            Self::Train(args) => train::run(&args).map(|()| Exit::Done).map_err(Into::into),
            #[cfg(feature = "train")]
            Self::Folds(args) => train::run_folds(&args).map(|()| Exit::Done).map_err(Into::into),
        }
    }
}
