// Every text of the page in English and Chinese, and the language that is shown.
// In: a key and what stands in its gaps. Out: a text. Never: markup.

const WORDS = {
  title: ["chexbox: chest film screening", "chexbox 胸片筛查"],
  skip: ["Skip to the reading", "跳到阅片结果"],
  purpose: ["Screening aid for trained staff, not a diagnosis", "仅供专业人员筛查辅助，不作为诊断依据"],
  footer: [
    "Every film needs to be read by a qualified physician. Films are read on this machine and are sent nowhere else.",
    "每张胸片都须由有资质的医生阅片。胸片只在本机处理，不会发送到其他地方。",
  ],
  language: ["Language", "语言"],
  keys: ["Keyboard", "键盘"],
  signOut: ["Sign out", "退出"],
  signedIn: ["Signed in as {0}", "已登录：{0}"],

  films: ["Films", "胸片"],
  addFilms: ["Add films", "添加胸片"],
  dropHere: ["Drop films here", "将胸片拖到此处"],
  dropMore: ["or choose files", "或选择文件"],
  dropNow: ["Let go to read these films", "松开即开始阅片"],
  model: ["Model", "模型"],
  everyModel: ["All models", "全部模型"],
  uploads: ["Being read", "正在阅片"],
  uploadsDone: ["Just read", "刚刚处理"],
  uploadsOf: ["{0} of {1} done", "已完成 {0} / {1}"],
  clearDone: ["Clear", "清除"],
  waiting: ["Waiting", "等待中"],
  sending: ["Sending, {0} %", "上传中 {0} %"],
  reading: ["Reading", "阅片中"],
  retryIn: ["Busy, trying again in {0} s", "系统繁忙，{0} 秒后重试"],
  retryNow: ["Try now", "立即重试"],
  retry: ["Try again", "重试"],
  dismiss: ["Dismiss", "关闭"],
  cancel: ["Cancel", "取消"],

  search: ["Search", "搜索"],
  searchHint: ["Patient, file name or number", "患者、文件名或编号"],
  filters: ["Filters", "筛选"],
  filtersOn: ["Filters ({0})", "筛选（{0}）"],
  clearFilters: ["Clear filters", "清除筛选"],
  patient: ["Patient", "患者"],
  patientHint: ["Number or name", "编号或姓名"],
  finding: ["Finding", "征象"],
  anyFinding: ["Any", "不限"],
  status: ["Status", "状态"],
  anyStatus: ["Any", "不限"],
  from: ["From", "自"],
  to: ["To", "至"],
  period: ["Period", "时间范围"],
  today: ["Today", "今天"],
  yesterday: ["Yesterday", "昨天"],
  week: ["7 days", "7 天"],
  ever: ["All", "全部"],
  listEmpty: ["No film matches.", "没有符合条件的胸片。"],
  listEmptyToday: ["No film yet today.", "今天还没有胸片。"],
  listCount: ["{0} films", "{0} 张胸片"],
  listCountMore: ["{0} films, more follow", "{0} 张胸片，还有更多"],
  listOne: ["1 film", "1 张胸片"],
  more: ["Show more", "显示更多"],
  refresh: ["Refresh the list", "刷新列表"],

  statusRead: ["Read", "已阅片"],
  statusRefused: ["Not read", "未阅片"],
  nonePositive: ["None positive", "无阳性"],
  noneBrief: ["No finding at its operating point", "无征象达到判定阈值"],

  welcome: ["Drop chest films here to have them read", "将胸片拖到此处开始阅片"],
  welcomeMore: [
    "Frontal films (PA or AP) of adults, as DICOM, PNG, JPEG or TIFF. Several at once are fine.",
    "成人正位胸片（后前位或前后位），DICOM、PNG、JPEG 或 TIFF 格式，可一次多张。",
  ],
  choose: ["Choose films", "选择胸片"],
  stepOne: ["Films are read on this machine. No network is needed.", "胸片在本机处理，无需联网。"],
  stepTwo: [
    "Each finding comes with a calibrated probability and its operating point.",
    "每项征象均给出校准概率和判定阈值。",
  ],
  stepThree: [
    "A heat map shows where the model looked. A physician decides.",
    "热图显示模型关注的位置，由医生作出判断。",
  ],

  back: ["Films", "胸片列表"],
  noName: ["Unnamed film", "未命名胸片"],
  number: ["No.", "编号"],
  born: ["born {0}", "出生 {0}"],
  accession: ["accession {0}", "检查号 {0}"],
  print: ["Print or PDF", "打印 / PDF"],
  save: ["Save", "保存"],
  savePng: ["Picture as seen (PNG)", "当前画面（PNG）"],
  saveJson: ["Record (JSON)", "记录（JSON）"],
  saveHtml: ["Report (HTML)", "报告（HTML）"],
  saveFhir: ["Report for systems (FHIR)", "系统用报告（FHIR）"],
  remove: ["Delete", "删除"],
  removeNot: ["Deleting needs a token of scope admin", "删除需要 admin 权限的令牌"],
  removeAsk: ["Delete this reading?", "删除这条阅片记录？"],
  removeMore: [
    "The reading of {0} is removed for good. That it was deleted stays in the audit record.",
    "{0} 的阅片记录将永久删除，删除操作会保留在审计记录中。",
  ],
  removed: ["The reading was deleted", "阅片记录已删除"],
  saved: ["{0} was saved", "已保存 {0}"],

  film: ["Film", "胸片"],
  filmLabel: [
    "Chest film. Arrow keys change window and level, with Shift they move the film, + and - zoom, 0 resets.",
    "胸片。方向键调窗宽窗位，按住 Shift 移动，+ 和 - 缩放，0 复位。",
  ],
  filmAlone: ["the film alone", "仅显示原片"],
  filmWith: ["heat map of {0}, opacity {1} %", "{0}热图，不透明度 {1} %"],
  filmLoading: ["Loading the film", "正在加载胸片"],
  filmNotKept: ["This box does not keep films", "本机不保存胸片"],
  filmNotKeptMore: [
    "The film is shown only shortly after it was sent. The numbers and heat maps stay; send the film again to see it.",
    "胸片仅在发送后短时间内可见。数值和热图会保留；如需查看，请重新发送。",
  ],
  tools: ["Tools for the film", "胸片工具"],
  toolWindow: ["Window", "调窗"],
  toolMove: ["Move", "移动"],
  toolMoveMore: [
    "Move by dragging; also with Shift or the middle button held. Wheel or two fingers zoom.",
    "拖动移动胸片；按住 Shift 或鼠标中键也可。滚轮或双指缩放。",
  ],
  invert: ["Invert", "反相"],
  reset: ["Reset", "复位"],
  zoomIn: ["Zoom in", "放大"],
  zoomOut: ["Zoom out", "缩小"],
  heat: ["Heat map", "热图"],
  opacity: ["Opacity", "不透明度"],
  attention: ["relative attention", "相对关注度"],
  low: ["low", "低"],
  high: ["high", "高"],
  heatNote: [
    "Shows where the model looked, relative to its own peak; not the extent of a lesion.",
    "显示模型关注的位置（相对自身峰值），不代表病灶范围。",
  ],
  heatFailed: ["The heat map could not be loaded", "无法加载热图"],
  windowNow: ["W {0}  L {1}", "窗宽 {0}  窗位 {1}"],

  findings: ["Findings", "征象"],
  verdict: ["Result", "结果"],
  verdictOne: ["1 finding of {0} is at or above its operating point", "{0} 项征象中 1 项达到判定阈值"],
  verdictMany: ["{1} findings of {0} are at or above their operating points", "{0} 项征象中 {1} 项达到判定阈值"],
  verdictNone: ["No finding is at or above its operating point", "没有征象达到判定阈值"],
  verdictNoneMore: [
    "This does not mean that the film is normal. {0} findings were assessed, {1} cannot be.",
    "这不等于正常。已评估 {0} 项征象，{1} 项无法评估。",
  ],
  verdictMore: ["A physician needs to look at this film.", "请由医生查看此胸片。"],
  above: ["At or above the operating point", "达到判定阈值"],
  below: ["Below the operating point", "低于判定阈值"],
  positive: ["Positive", "阳性"],
  negative: ["Negative", "阴性"],
  point: ["operating point {0}", "判定阈值 {0}"],
  pointShort: ["operating point", "判定阈值"],
  probability: ["Probability", "概率"],
  call: ["Call", "判定"],
  scale: ["Probability, on a scale of log-odds", "概率（对数几率刻度）"],
  unavailable: ["Not available", "不可用"],
  unavailableMore: [
    "The model has not learnt these {0} findings. It says nothing about them.",
    "模型未训练以下 {0} 项征象，不作任何判断。",
  ],
  about: ["How this came about", "处理过程"],
  aboutModel: ["Model", "模型"],
  aboutDigest: ["SHA-256 of the model", "模型 SHA-256"],
  aboutFilm: ["SHA-256 of the film", "胸片 SHA-256"],
  aboutProgram: ["Program", "程序"],
  aboutEngine: ["Engine", "计算引擎"],
  aboutSize: ["File", "文件"],
  aboutReading: ["Reading", "阅片编号"],
  aboutTime: ["Read at", "阅片时间"],
  sheetTitle: ["Chest film: screening result", "胸片筛查结果"],

  refusedTitle: ["This film was not read", "此胸片未阅片"],
  refusedMore: [
    "That is not a result: nothing is known about this film. It needs to be read without the program, or sent again.",
    "这不是阅片结果：系统对此胸片没有任何判断。请直接人工阅片，或重新发送。",
  ],
  why: ["Why", "原因"],
  remedy: ["What to do", "处理方法"],

  tokenTitle: ["Sign in with a token", "请用令牌登录"],
  tokenMore: [
    "This chexbox answers only to holders of a token. The person who runs it issues tokens.",
    "本机只对持有令牌的用户开放，令牌由管理员签发。",
  ],
  token: ["Token", "令牌"],
  tokenHint: ["v4.public.…", "v4.public.…"],
  tokenKept: ["Kept until this tab is closed.", "仅保留到本标签页关闭。"],
  tokenWrong: ["This token was not accepted. Ask for a valid one.", "令牌未被接受，请索取有效令牌。"],
  signIn: ["Sign in", "登录"],

  offline: ["chexbox does not answer", "无法连接 chexbox"],
  offlineMore: [
    "Check the cable or the Wi-Fi, and that the box is on. This page tries again by itself.",
    "请检查网线或无线网络，并确认主机已开机。本页会自动重试。",
  ],
  brokenOff: [
    "The connection breaks off while this file is sent. It may be larger than chexbox takes (64 MiB unless set otherwise).",
    "发送此文件时连接中断，文件可能超出大小限制（默认 64 MiB）。",
  ],
  onlineAgain: ["chexbox answers again", "已重新连接 chexbox"],
  failed: ["That did not work", "操作未成功"],
  tooMany: ["Too many attempts. Wait {0} s and try again.", "尝试次数过多，请等待 {0} 秒后重试。"],
  busy: ["chexbox is busy. Try again in a moment.", "系统繁忙，请稍后重试。"],
  notAllowed: ["Your token does not allow this.", "您的令牌无此权限。"],
  gone: ["This reading is not here (any more).", "该阅片记录不存在或已删除。"],
  readDone: ["{0}: read. {1}", "{0}：已阅片。{1}"],
  readRefused: ["{0}: not read. {1}", "{0}：未阅片。{1}"],
  readFailed: ["{0}: failed. {1}", "{0}：失败。{1}"],

  keysTitle: ["Keyboard", "键盘操作"],
  keysOn: ["Single keys act outside text fields", "在输入框之外启用单键操作"],
  keyFinding: ["heat map of a finding, in the order shown", "按显示顺序查看征象热图"],
  keyHeat: ["heat map on or off", "显示或隐藏热图"],
  keyOpacity: ["less or more opacity", "降低或提高不透明度"],
  keyNext: ["next or previous film of the list", "列表中下一张或上一张胸片"],
  keyWindow: ["window and level, with the film in focus", "胸片获得焦点时调整窗宽窗位"],
  keyMove: ["move the zoomed film", "移动放大后的胸片"],
  keyZoom: ["zoom in or out", "放大或缩小"],
  keyInvert: ["invert", "反相"],
  keyReset: ["reset window, level and zoom", "复位窗宽窗位和缩放"],
  keySearch: ["search the list", "搜索列表"],
  keyAdd: ["add films", "添加胸片"],
  keyHelp: ["this help", "显示本帮助"],
  close: ["Close", "关闭"],
};

const KEPT = "chexbox.language";
let column = 0;

/** The language shown: "en" or "zh". */
export const language = () => (column ? "zh" : "en");

/** The text of a key, with `{0}`, `{1}` filled in. */
export const word = (key, ...gaps) =>
  WORDS[key][column].replace(/\{(\d)\}/g, (_, gap) => String(gaps[Number(gap)]));

/** Shows a language from now on and remembers it. */
export function speak(code) {
  column = code === "zh" ? 1 : 0;
  try {
    localStorage.setItem(KEPT, language());
  } catch {
    // Storage may be switched off; the choice then lasts as long as the page.
  }
  translate(document);
}

/** The language remembered, or else the browser's. */
export function preferred() {
  let kept = null;
  try {
    kept = localStorage.getItem(KEPT);
  } catch {
    // As above.
  }
  return kept ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
}

/** Writes the texts of everything below `root` that names a key. */
export function translate(root) {
  document.documentElement.lang = column ? "zh-CN" : "en";
  document.title = word("title");
  for (const node of root.querySelectorAll("[data-word]")) node.textContent = word(node.dataset.word);
  for (const node of root.querySelectorAll("[data-label]")) node.setAttribute("aria-label", word(node.dataset.label));
  for (const node of root.querySelectorAll("[data-tip]")) node.title = word(node.dataset.tip);
  for (const node of root.querySelectorAll("[data-hint]")) node.placeholder = word(node.dataset.hint);
}

/** Sentences one after the other; each ends with a stop. */
export const joined = (...sentences) =>
  sentences
    .filter(Boolean)
    .map((sentence) => headed(sentence.replace(/[.。]$/, "")) + (column ? "。" : "."))
    .join(column ? "" : " ");

/** A share in percent; what is not quite 0 or 100 never looks as if it were. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "<0.05 %";
  if (share >= 0.9995 && share < 1) return ">99.9 %";
  return `${(share * 100).toFixed(share < 0.1 ? 2 : 1)} %`;
}

/** A name as the start of a line: with a capital letter where the script has them. */
export const headed = (name) => name.charAt(0).toUpperCase() + name.slice(1);

/** A moment as date and time of this place. */
export const moment = (stamp) =>
  new Date(stamp).toLocaleString(column ? "zh-CN" : "en-GB", { dateStyle: "medium", timeStyle: "short" });

/** A moment as time of day. */
export const timeOfDay = (stamp) =>
  new Date(stamp).toLocaleTimeString(column ? "zh-CN" : "en-GB", { hour: "2-digit", minute: "2-digit" });

/** The day of a moment: today, yesterday or its date. */
export function dayOf(stamp) {
  const day = new Date(stamp);
  const back = (days) => new Date(new Date().setDate(new Date().getDate() - days)).toDateString();
  if (day.toDateString() === back(0)) return word("today");
  if (day.toDateString() === back(1)) return word("yesterday");
  return day.toLocaleDateString(column ? "zh-CN" : "en-GB", { weekday: "short", day: "numeric", month: "long", year: "numeric" });
}

/** Bytes as people read them. */
export function size(bytes) {
  if (bytes < 1e6) return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
