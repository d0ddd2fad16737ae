//! Every bound of the program. Anything that grows has one, and it stands here with its reason.

/// Largest file that is opened, bytes. A 17 x 17 inch detector at 0.1 mm and 16 bit is 37 MB; this leaves room for colour TIFF.
pub const FILE_BYTES: u64 = 128 << 20;

/// Memory that the films being decoded at one time may take together, bytes: with two models loaded it leaves the whole
/// program under 300 MB. A film that needs more by itself is read alone.
pub const DECODING_BYTES_MAX: u64 = 160 << 20;

/// Smallest side of a film, pixels. Below it a rib cannot be told from noise.
pub const SIDE_MIN_PX: u32 = 48;

/// Longest side of a chest film over its shortest: the largest detectors are 17 x 14 inches, a collimated film may be half as wide.
pub const FILM_ASPECT_MAX: usize = 2;

/// Largest side of a film, pixels: the largest detectors have 4,300.
pub const SIDE_MAX_PX: u32 = 10_000;

/// Most pixels of a film. One such film of 16 bits costs 160 MB, 80 MB of file and 80 MB of samples. The 300 MB that are
/// promised hold for films of ordinary detectors, up to 3,000 x 3,000 pixels, on two cores: 36 MB each. How many larger ones
/// are decoded at once is decided by `radiograph::memory_estimate`.
pub const PIXELS_MAX: u64 = 40_000_000;

/// Most samples decoded of a picture, channels counted (RGBA 16 bit of a film at its largest would be 320 MB).
pub const PICTURE_BYTES_MAX: u64 = 160 << 20;

/// Most elements of a DICOM data set that the structural check walks, all levels counted. Real CR headers have under 400.
pub const DICOM_ELEMENTS_MAX: usize = 20_000;

/// Deepest nesting of DICOM sequences. Real headers nest 3 deep.
pub const DICOM_DEPTH_MAX: usize = 16;

/// Longest value of a DICOM element other than pixel data, bytes.
pub const DICOM_VALUE_BYTES_MAX: u64 = 16 << 20;

/// Most fragments of one encapsulated frame.
pub const DICOM_FRAGMENTS_MAX: usize = 10_000;

/// Most that a deflated DICOM data set may inflate to, bytes: what a file that is not deflated may have.
pub const DICOM_INFLATED_BYTES_MAX: u64 = FILE_BYTES;

/// Most scans of a JPEG. Real progressive files have about ten; each scan of a few bytes costs a pass over the whole picture.
pub const JPEG_SCANS_MAX: usize = 64;

/// Most tiles of a JPEG 2000 codestream: a film at its largest in tiles of 128 x 128 has 2,441.
pub const JPEG2000_TILES_MAX: u64 = 4_096;

/// Most book-keeping a JPEG 2000 decoder may need for code-blocks, layers and precincts, bytes. A film at its largest in
/// code-blocks of 64 x 64 with 12 layers needs 7 MB; code-blocks of 4 x 4 with 32 layers would need 2 GB.
pub const JPEG2000_BOOKS_BYTES_MAX: u64 = 64 << 20;

/// Most samples of a JPEG 2000 film, channels counted: its decoder works in f32 and needs 15 bytes a sample, 240 MB for so
/// many. The largest detectors, of 4,300 x 3,500 pixels, must pass.
pub const JPEG2000_PIXELS_MAX: u64 = 16_000_000;

/// Most pages or directories that are followed in a TIFF before it is refused.
pub const TIFF_DIRECTORIES_MAX: usize = 64;

/// Most chunks of a PNG. A file of 8 KB chunks at the largest film has 10,000.
pub const PNG_CHUNKS_MAX: usize = 100_000;

/// Largest model file that is opened, bytes: DenseNet201 in f32 is 80 MB.
pub const MODEL_BYTES_MAX: u64 = 256 << 20;

/// Largest file of weights that training starts from, bytes: DenseNet201 with its optimiser is 250 MB.
pub const WEIGHTS_BYTES_MAX: u64 = 1 << 30;

/// Most that a file of weights may say of the stages of its training, bytes.
pub const STAGES_BYTES_MAX: usize = 8 << 10;

/// Largest manifest, bytes.
pub const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// Most folds that films are split into.
pub const FOLDS_MAX: usize = 20;

/// Most findings of a label set.
pub const FINDINGS_MAX: usize = 256;

/// Longest side of the film on a heat map, pixels: a heat map of 7 x 7 cells gains nothing from more, and a screen shows it whole.
pub const DISPLAY_SIDE_MAX_PX: usize = 1_024;

/// Shortest that the longest side of the film on a heat map may be, pixels: below it the caption cannot be read.
pub const DISPLAY_SIDE_MIN_PX: usize = 640;

/// Most heat maps on one contact sheet: more would be too small to read. The findings themselves are all in the list beside them.
pub const SHEET_TILES_MAX: usize = 15;

/// Most findings listed with their probability on one contact sheet; the others are counted in words.
pub const SHEET_ROWS_MAX: usize = 40;

/// Shortest key that identities are hashed with, bytes: 128 bits.
pub const DEIDENTIFY_KEY_BYTES_MIN: usize = 16;

/// Most characters of one text drawn on a picture.
pub const TEXT_CHARS_MAX: usize = 2_000;

/// Largest network input side, pixels.
pub const INPUT_SIDE_MAX: usize = 2_048;

/// Smallest network input side, pixels: a DenseNet halves it five times.
pub const INPUT_SIDE_MIN: usize = 32;

/// Most threads that one film is split over: more than any convolution of a film has rows for.
pub const THREADS_MAX: u16 = 64;

/// Most runs of a bench: at a second each, a day.
pub const BENCH_RUNS_MAX: u32 = 86_400;

/// Most files that one `read` takes from folders.
pub const FILES_PER_RUN_MAX: usize = 1_000_000;

/// Deepest folder that `read` descends into.
pub const FOLDER_DEPTH_MAX: usize = 32;

/// Most films that a quantization is calibrated with: more change nothing, and each costs two runs in f32.
pub const CALIBRATION_FILMS_MAX: i64 = 4_096;

/// Largest label file, bytes: CheXpert's has 224,000 rows in 20 MB.
pub const LABELS_BYTES_MAX: u64 = 512 << 20;

/// Largest file of readings, bytes: a record of 25 findings has 5 KB, so this is 200,000 films.
pub const READINGS_BYTES_MAX: u64 = 1 << 30;

/// Most readers of one comparison.
pub const READERS_MAX: usize = 64;

/// Longest side of a heat map that is sent without its film, pixels: it is stretched over the film by whoever shows it.
pub const LAYER_SIDE_PX: usize = 512;

/// Most values in the query of a request: the list of readings knows nine.
pub const QUERY_PAIRS_MAX: usize = 32;

/// Most files in one form: a body of 64 MiB holds a few dozen films.
pub const PARTS_MAX: usize = 256;

/// Longest head of a part of a form, bytes: a name and a content type.
pub const PART_HEAD_BYTES_MAX: usize = 8 << 10;

/// Longest name of a film's file that is kept, characters: file systems end at 255 bytes.
pub const FILE_NAME_CHARS_MAX: usize = 255;

/// Longest text that readings are searched for, characters: longer than any DICOM name component.
pub const SEARCH_CHARS_MAX: usize = 200;

/// Readings on one page of a list, unless asked otherwise.
pub const PAGE_READINGS: usize = 50;

/// Requests that may wait for a reading, unless configured: some seconds of work, more than a client should wait for.
pub const READINGS_WAITING: usize = 16;

/// Most requests that may be configured to wait: each holds a thread.
pub const READINGS_WAITING_MAX: usize = 256;

/// Most films that may be read at the same time.
pub const WORKERS_MAX: usize = 64;

/// Threads that answer beside those that wait for readings: for refusals, lists and pictures.
pub const ANSWERS_BESIDE: usize = 14;

/// Most connections that may be configured.
pub const CONNECTIONS_CONFIGURED_MAX: usize = 65_536;

/// Most days that readings may be kept.
pub const RETAIN_DAYS_MAX: u64 = 36_500;

/// Memory that films shown after their reading may take, bytes: sixteen of the largest that are shown.
pub const PREVIEW_BYTES_MAX: usize = 16 << 20;

/// Longest that the service takes to end, milliseconds: what systemd and a person wait for.
pub const DRAIN_MS_MAX: u64 = 8_000;

/// Largest configuration file, bytes.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Most connections that the gate holds at once: each costs at most a head or a TLS handshake of 16 KiB and the room that its
/// buffers grow by, so that all of them together stay below 64 MiB.
pub const CONNECTIONS_MAX: usize = 1_024;

/// Most connections of one peer. A browser opens six, a proxy in front of the gate is given more by its configuration.
pub const CONNECTIONS_PER_PEER_MAX: usize = 64;

/// Most requests that are handed to the router at once; further ones wait in line. tiny_http has a thread for each.
pub const EXCHANGES_MAX: usize = 64;

/// Longest that a whole request waits in that line before it is answered with 503, milliseconds.
pub const LINE_WAIT_MS: u64 = 5_000;

/// Longest head of a request or of an answer, bytes; nginx and Apache allow 8 KiB and 32 KiB.
pub const HEAD_BYTES_MAX: usize = 16 << 10;

/// Most bytes that a client sends until its TLS handshake is over. A hello has half a kilobyte, with a post-quantum key two; no
/// certificate of a client's is asked for. rustls alone would hold 64 KiB of it.
pub const HANDSHAKE_BYTES_MAX: usize = 16 << 10;

/// Most fields of a head. Browsers send under 30.
pub const HEAD_FIELDS_MAX: usize = 64;

/// Longest target of a request, bytes: RFC 9110 (4.1) asks for 8,000 at least.
pub const TARGET_BYTES_MAX: usize = 8_000;

/// Largest body of a request, bytes: the largest detectors make films of 37 MB.
pub const BODY_BYTES_MAX: u64 = 64 << 20;

/// Memory that bodies and answers of all connections may take together, bytes.
pub const GATE_BYTES_MAX: usize = 192 << 20;

/// Memory that those of one peer may take, bytes: one body and one answer at their largest, and as much again for small ones.
pub const GATE_BYTES_PER_PEER_MAX: usize = 144 << 20;

/// Time for a whole head, TLS handshake included, milliseconds from the connection's beginning, or from the first byte of a
/// further request.
pub const HEAD_MS_MAX: u64 = 10_000;

/// Time for a whole body, milliseconds: 64 MiB at 2 Mbit/s.
pub const BODY_MS_MAX: u64 = 270_000;

/// Time that a slow body or a slow reader of an answer has before its rate counts, milliseconds.
pub const RATE_GRACE_MS: u64 = 5_000;

/// Slowest rate of a body and of a reader of an answer, bytes a second: a modem of 64 kbit/s.
pub const RATE_MIN: u64 = 8_000;

/// Longest that the router may take for an answer, milliseconds: a full reading queue of the largest films.
pub const ANSWER_MS_MAX: u64 = 120_000;

/// Time for a client to take a whole answer, milliseconds.
pub const TAKING_MS_MAX: u64 = 270_000;

/// Longest that a connection stays open between requests, milliseconds.
pub const IDLE_MS_MAX: u64 = 15_000;

/// Longest that what a refused client still sends is thrown away, so that it sees the refusal before the end, milliseconds.
pub const LINGER_MS: u64 = 1_000;

/// Largest answer of the router, bytes: a record of films in one multipart, or a page with pictures in it.
pub const ANSWER_BYTES_MAX: usize = 64 << 20;

/// File descriptors that the gate leaves to the rest of the program: store, log, router, models.
pub const DESCRIPTORS_LEFT: u64 = 32;

/// Largest certificate or key file, bytes: a chain of ten certificates has 20 KB.
pub const PEM_BYTES_MAX: u64 = 1 << 20;

/// Largest record or set of heat-map grids of one reading, bytes: 25 findings have 5 KB and 25 grids of 7 x 7.
pub const STORED_RECORD_BYTES_MAX: usize = 4 << 20;

/// Largest picture kept with a reading, bytes: a preview of 1,024 x 1,024 grey pixels has one million.
pub const STORED_IMAGE_BYTES_MAX: usize = 16 << 20;

/// Most characters kept of a film's file name: file systems allow 255 bytes.
pub const STORED_FILM_NAME_CHARS_MAX: usize = 255;

/// Most characters kept of one part of a patient's identity: a DICOM name in three alphabets has at most 324.
pub const IDENTITY_CHARS_MAX: usize = 324;

/// Most readings of one page of a list.
pub const READINGS_PAGE_MAX: usize = 200;

/// Most characters of one part of a search.
pub const QUERY_CHARS_MAX: usize = 200;

/// Longest idempotency key, bytes: twice what UUIDs and ULIDs need, quoted.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// How long an idempotency key is remembered, milliseconds: a day, as long as clients repeat a request.
pub const IDEMPOTENCY_KEPT_MS: i64 = 86_400_000;

/// Most characters of one part of an audit record: whoever is not signed in decides about some of them.
pub const AUDIT_TEXT_CHARS_MAX: usize = 200;

/// Most audit records of one listing.
pub const AUDIT_PAGE_MAX: usize = 10_000;

/// Audit records that leave the database together: few enough for one transaction, so many that what stands for them is little.
pub const AUDIT_CUT_RECORDS: usize = 500;

/// Most cuts of one housekeeping.
pub const AUDIT_CUTS_MAX: usize = 20;

/// Largest file of cut audit records, bytes: each has at most five texts of 200 characters and its hashes.
pub const AUDIT_ARCHIVE_BYTES_MAX: u64 = 16 << 20;

/// Days that audit records stay in the database unless configured: ten years, as long as films are kept in most places.
pub const RETAIN_AUDIT_DAYS: u32 = 3_650;

/// Most faults that a verification lists: the first ones say where it begins.
pub const AUDIT_FAULTS_MAX: usize = 100;

/// How long the store waits for another process that writes, milliseconds: verbs of the command line take far less.
pub const STORE_BUSY_MS: u64 = 5_000;

/// How often a daemon tries to get the store for itself, until somebody else is taken to have it for good.
pub const STORE_LOCK_TRIES: u32 = 20;

/// Pause between two tries, milliseconds: all of them take a second.
pub const STORE_LOCK_PAUSE_MS: u64 = 50;

/// How often the store tries to write while another process does, and the pause between, milliseconds: five seconds together.
pub const STORE_TURN_TRIES: u32 = 1_000;

/// The pause, milliseconds: a verb of the command line writes for a few.
pub const STORE_TURN_PAUSE_MS: u64 = 5;

/// Most connections kept for reading.
pub const STORE_READERS_KEPT: usize = 4;

/// Room set aside for deleting on a full disk, bytes: the log of one batch of retention, several times over.
pub const STORE_RESERVE_BYTES: u64 = 16 << 20;

/// Readings that retention removes in one transaction.
pub const RETENTION_BATCH: i64 = 64;

/// Most transactions of one retention, so that new readings need not wait.
pub const RETENTION_BATCHES_MAX: usize = 32;

/// Largest thing that is queued to be sent on, bytes: the highest contact sheet, 1,720 x 1,900 pixels in colour, and its header.
pub const FORWARD_BYTES_MAX: usize = 12 << 20;

/// First wait before something is sent again, milliseconds.
pub const FORWARD_WAIT_MIN_MS: i64 = 5_000;

/// Longest wait before something is sent again, milliseconds: an archive that comes back gets everything soon.
pub const FORWARD_WAIT_MAX_MS: i64 = 300_000;

/// Longest wait before something is sent again that was refused, milliseconds: somebody may have changed the archive's mind.
pub const FORWARD_REFUSED_WAIT_MAX_MS: i64 = 3_600_000;

/// Largest answer of an archive to one object sent by STOW-RS, bytes: a few UIDs and codes.
pub const STOW_REPLY_BYTES_MAX: usize = 1 << 20;

/// Longest piece of a data set in one PDU to an archive that sets no bound, bytes.
pub const DICOM_PIECE_BYTES: usize = 128 << 10;

/// How often it is looked whether something is to be sent, milliseconds: a result is at the archive a moment after its reading.
pub const FORWARD_LOOK_MS: u64 = 500;

/// Most refused objects that are listed one by one.
pub const REFUSED_LISTED_MAX: usize = 50;

/// Most archives that results are sent to: each has a thread and a connection of its own.
pub const DESTINATIONS_MAX: usize = 16;

/// Longest name of one of them, characters.
pub const DESTINATION_NAME_CHARS_MAX: usize = 64;

/// Longest address of one of them, bytes.
pub const URL_BYTES_MAX: usize = 2_000;

/// Wait for a connection and an association with an archive, unless configured, seconds: TCP tries four times meanwhile.
pub const FORWARD_CONNECT_S: u64 = 15;

/// Time for an object to be sent and its answer to come, unless configured, seconds: the largest object at 1 Mbit/s.
pub const FORWARD_ANSWER_S: u64 = 120;

/// Longest of both that may be configured, seconds: the watchdog must be able to tell a slow archive from a fault of ours.
pub const FORWARD_SECONDS_MAX: u64 = 3_600;

/// Longest access token that is looked at, bytes: ours have about 500.
pub const TOKEN_BYTES_MAX: usize = 2_048;

/// Most characters of a token's name.
pub const TOKEN_NAME_CHARS_MAX: usize = 100;

/// How far clocks may differ or step back, milliseconds: more than any correction that a time service makes by itself.
pub const CLOCK_TOLERANCE_MS: i64 = 300_000;

/// Sign-ins that may fail within the window, of one peer.
pub const FAILURES_PER_WINDOW: usize = 10;

/// The window of failed sign-ins, milliseconds.
pub const FAILURE_WINDOW_MS: i64 = 60_000;

/// Most peers whose failed sign-ins are counted, a hundred bytes each.
pub const FAILURE_PEERS_MAX: usize = 4_096;

/// Longest file that names a machine, bytes: a UUID has 36.
pub const MACHINE_FILE_BYTES_MAX: u64 = 256;

/// Time between two rounds of housekeeping, milliseconds.
pub const HOUSEKEEPING_MS: u64 = 60_000;

/// Most rounds of retention in one housekeeping: each removes a bounded number of readings.
pub const RETENTION_ROUNDS_MAX: usize = 64;

/// Longest path of an AF_UNIX socket, bytes (unix(7)).
pub const UNIX_PATH_BYTES_MAX: usize = 107;

/// Largest file that a key is read from, bytes: a secret key has 97 characters.
pub const KEY_FILE_BYTES_MAX: u64 = 4_096;
/// Longest PDU that a peer may send, bytes: modalities send what they are told they may, and longer ones gain nothing.
pub const DICOM_PDU_BYTES_MAX: u32 = 256 << 10;

/// Longest command set, bytes: two UIDs and a few numbers have 250.
pub const DICOM_COMMAND_BYTES_MAX: usize = 16 << 10;

/// Most associations at a time. A clinic has a handful of rooms.
pub const DICOM_ASSOCIATIONS_MAX: usize = 16;

/// Most associations of one address at a time: a router that sends for several rooms opens a few.
pub const DICOM_ASSOCIATIONS_OF_PEER_MAX: usize = 8;

/// Most bytes of data sets that are being received at a time, all associations together: one film of the largest detectors
/// and several of ordinary ones. What is beyond is answered "out of resources", and modalities send it again.
pub const DICOM_RECEIVING_BYTES_MAX: u64 = 160 << 20;
