//! Labels and help of connectors' form fields, by their English text. Connectors write English; what is
//! not here is shown as they wrote it. A test of the server holds this against every connector.

use super::Lang;

/// A label or help text in a language.
#[must_use]
pub(crate) fn of_field(lang: Lang, english: &'static str) -> &'static str {
    translated(lang, english).unwrap_or(english)
}

fn translated(lang: Lang, english: &str) -> Option<&'static str> {
    let (own, texts) = TABLE.iter().find(|(own, _)| *own == english)?;
    match lang {
        Lang::En => Some(own),
        Lang::De => texts.first().copied(),
        Lang::Fr => texts.get(1).copied(),
        Lang::Es => texts.get(2).copied(),
        Lang::Ja => texts.get(3).copied(),
        Lang::ZhHant => texts.get(4).copied(),
    }
}

/// The languages (BCP 47) of the connect page in which a label or help text of a form field would be shown in
/// English for want of a translation.
#[must_use]
pub fn untranslated_field(english: &str) -> Vec<&'static str> {
    let missing = Lang::ALL.into_iter().filter(|lang| {
        let text = translated(*lang, english);
        text.is_none_or(|text| text.trim().is_empty())
    });
    missing.map(Lang::tag).collect()
}

/// English, then German, French, Spanish, Japanese, Chinese.
const TABLE: &[(&str, [&str; 5])] = &[
    ("Address", ["Adresse", "Adresse", "Dirección", "アドレス", "位址"]),
    (
        "The URL of the folder to start in, for a Nextcloud https://HOST/remote.php/dav/files/USER/.",
        [
            "Die URL des Ordners, mit dem begonnen wird; bei Nextcloud https://HOST/remote.php/dav/files/USER/.",
            "L’URL du dossier de départ ; pour Nextcloud https://HOST/remote.php/dav/files/USER/.",
            "La URL de la carpeta inicial; en Nextcloud https://HOST/remote.php/dav/files/USER/.",
            "最初に開くフォルダーの URL。Nextcloud の場合は https://HOST/remote.php/dav/files/USER/ です。",
            "起始資料夾的網址；Nextcloud 為 https://HOST/remote.php/dav/files/USER/。",
        ],
    ),
    (
        "User name",
        ["Benutzername", "Nom d’utilisateur", "Nombre de usuario", "ユーザー名", "使用者名稱"],
    ),
    (
        "The user to sign in as. Left out, nobody signs in.",
        [
            "Der Benutzer für die Anmeldung. Ohne ihn wird niemand angemeldet.",
            "L’utilisateur de connexion. Sans lui, personne ne se connecte.",
            "El usuario con el que se inicia sesión. Sin él no se inicia sesión.",
            "サインインするユーザー。空欄の場合はサインインしません。",
            "登入用的使用者。留空則不登入。",
        ],
    ),
    (
        "The user to sign in as.",
        [
            "Der Benutzer für die Anmeldung.",
            "L’utilisateur de connexion.",
            "El usuario con el que se inicia sesión.",
            "サインインするユーザー。",
            "登入用的使用者。",
        ],
    ),
    ("Password", ["Passwort", "Mot de passe", "Contraseña", "パスワード", "密碼"]),
    (
        "The user's password; for a Nextcloud better an app password.",
        [
            "Das Passwort des Benutzers; bei Nextcloud besser ein App-Passwort.",
            "Le mot de passe de l’utilisateur ; pour Nextcloud, plutôt un mot de passe d’application.",
            "La contraseña del usuario; en Nextcloud, mejor una contraseña de aplicación.",
            "ユーザーのパスワード。Nextcloud ではアプリパスワードをおすすめします。",
            "使用者的密碼；Nextcloud 建議使用應用程式密碼。",
        ],
    ),
    (
        "The user's password. Not needed with a private key.",
        [
            "Das Passwort des Benutzers. Mit privatem Schlüssel nicht nötig.",
            "Le mot de passe de l’utilisateur. Inutile avec une clé privée.",
            "La contraseña del usuario. No hace falta con una clave privada.",
            "ユーザーのパスワード。秘密鍵を使う場合は不要です。",
            "使用者的密碼。使用私密金鑰時不需要。",
        ],
    ),
    ("Token", ["Token", "Jeton", "Token", "トークン", "權杖"]),
    (
        "A bearer token, in place of user name and password.",
        [
            "Ein Bearer-Token anstelle von Benutzername und Passwort.",
            "Un jeton « bearer » à la place du nom d’utilisateur et du mot de passe.",
            "Un token «bearer» en lugar de usuario y contraseña.",
            "ユーザー名とパスワードの代わりに使うベアラートークン。",
            "用來取代使用者名稱和密碼的 Bearer 權杖。",
        ],
    ),
    ("Host", ["Server", "Serveur", "Servidor", "ホスト", "主機"]),
    (
        "The server's name or address.",
        [
            "Name oder Adresse des Servers.",
            "Le nom ou l’adresse du serveur.",
            "El nombre o la dirección del servidor.",
            "サーバーの名前またはアドレス。",
            "伺服器的名稱或位址。",
        ],
    ),
    ("Port", ["Port", "Port", "Puerto", "ポート", "連接埠"]),
    (
        "The server's SSH port.",
        [
            "Der SSH-Port des Servers.",
            "Le port SSH du serveur.",
            "El puerto SSH del servidor.",
            "サーバーの SSH ポート。",
            "伺服器的 SSH 連接埠。",
        ],
    ),
    ("Private key", ["Privater Schlüssel", "Clé privée", "Clave privada", "秘密鍵", "私密金鑰"]),
    (
        "A private key in OpenSSH or PEM form.",
        [
            "Ein privater Schlüssel im OpenSSH- oder PEM-Format.",
            "Une clé privée au format OpenSSH ou PEM.",
            "Una clave privada en formato OpenSSH o PEM.",
            "OpenSSH または PEM 形式の秘密鍵。",
            "OpenSSH 或 PEM 格式的私密金鑰。",
        ],
    ),
    (
        "Passphrase",
        ["Passphrase", "Phrase secrète", "Frase de contraseña", "パスフレーズ", "通行片語"],
    ),
    (
        "What opens the private key, if it is locked.",
        [
            "Öffnet den privaten Schlüssel, falls er gesperrt ist.",
            "Déverrouille la clé privée si elle est protégée.",
            "Abre la clave privada si está protegida.",
            "秘密鍵が保護されている場合に必要です。",
            "私密金鑰受保護時需要輸入。",
        ],
    ),
    (
        "Host key",
        ["Schlüssel des Servers", "Clé du serveur", "Clave del servidor", "ホスト鍵", "主機金鑰"],
    ),
    (
        "The server's key as SHA256:... or as a line of known_hosts. Left out, the key that the server shows when connecting is remembered, and any other is refused from then on.",
        [
            "Der Schlüssel des Servers als SHA256:... oder als Zeile aus known_hosts. Ohne Angabe wird der Schlüssel gemerkt, den der Server beim Verbinden zeigt; jeder andere wird danach abgelehnt.",
            "La clé du serveur sous la forme SHA256:... ou une ligne de known_hosts. Sans elle, la clé présentée à la connexion est retenue et toute autre est ensuite refusée.",
            "La clave del servidor como SHA256:... o como línea de known_hosts. Sin ella se recuerda la clave que el servidor muestra al conectar y después se rechaza cualquier otra.",
            "SHA256:... または known_hosts の 1 行で表したサーバーの鍵。空欄の場合は接続時の鍵を記憶し、以後それ以外を拒否します。",
            "以 SHA256:... 或 known_hosts 的一行表示的伺服器金鑰。留空則記住連線時的金鑰，之後拒絕其他金鑰。",
        ],
    ),
    ("Folder", ["Ordner", "Dossier", "Carpeta", "フォルダー", "資料夾"]),
    (
        "The folder to start in. Left out, the user's home.",
        [
            "Der Ordner, mit dem begonnen wird. Ohne Angabe das Heimatverzeichnis.",
            "Le dossier de départ. Par défaut, le dossier personnel.",
            "La carpeta inicial. Si se omite, la carpeta personal.",
            "最初に開くフォルダー。空欄の場合はホームフォルダーです。",
            "起始資料夾。留空則為使用者的主目錄。",
        ],
    ),
    (
        "Access key ID",
        [
            "Zugriffsschlüssel-ID",
            "Identifiant de clé d’accès",
            "ID de clave de acceso",
            "アクセスキー ID",
            "存取金鑰 ID",
        ],
    ),
    (
        "The ID of an access key, such as AKIAIOSFODNN7EXAMPLE.",
        [
            "Die ID eines Zugriffsschlüssels, zum Beispiel AKIAIOSFODNN7EXAMPLE.",
            "L’identifiant d’une clé d’accès, par exemple AKIAIOSFODNN7EXAMPLE.",
            "El ID de una clave de acceso, por ejemplo AKIAIOSFODNN7EXAMPLE.",
            "アクセスキーの ID。例：AKIAIOSFODNN7EXAMPLE",
            "存取金鑰的 ID，例如 AKIAIOSFODNN7EXAMPLE。",
        ],
    ),
    (
        "Secret access key",
        [
            "Geheimer Zugriffsschlüssel",
            "Clé d’accès secrète",
            "Clave de acceso secreta",
            "シークレットアクセスキー",
            "私密存取金鑰",
        ],
    ),
    (
        "The secret that belongs to the access key.",
        [
            "Das Geheimnis zum Zugriffsschlüssel.",
            "Le secret associé à la clé d’accès.",
            "El secreto de la clave de acceso.",
            "アクセスキーに対応するシークレット。",
            "存取金鑰對應的密鑰。",
        ],
    ),
    (
        "Session token",
        [
            "Sitzungstoken",
            "Jeton de session",
            "Token de sesión",
            "セッショントークン",
            "工作階段權杖",
        ],
    ),
    (
        "Only for temporary credentials: the token that came with them.",
        [
            "Nur für befristete Zugangsdaten: das Token, das mit ihnen kam.",
            "Pour des identifiants temporaires seulement : le jeton fourni avec eux.",
            "Solo para credenciales temporales: el token que venía con ellas.",
            "一時的な認証情報の場合のみ、発行されたトークンを入力します。",
            "僅用於臨時憑證：隨憑證提供的權杖。",
        ],
    ),
    ("Region", ["Region", "Région", "Región", "リージョン", "區域"]),
    (
        "The region to begin with, such as eu-west-1. The regions of buckets are found by themselves.",
        [
            "Die Region für den Anfang, zum Beispiel eu-west-1. Die Regionen der Buckets werden von selbst gefunden.",
            "La région de départ, par exemple eu-west-1. Les régions des buckets sont trouvées automatiquement.",
            "La región inicial, por ejemplo eu-west-1. Las regiones de los buckets se encuentran solas.",
            "最初に使うリージョン。例：eu-west-1。バケットのリージョンは自動で見つけます。",
            "起始區域，例如 eu-west-1。儲存貯體的區域會自動找到。",
        ],
    ),
    ("Addressing", ["Adressierung", "Adressage", "Direccionamiento", "アドレス指定", "定址方式"]),
    (
        "How buckets are addressed: auto, path (https://host/bucket) or virtual (https://bucket.host).",
        [
            "Wie Buckets adressiert werden: auto, path (https://host/bucket) oder virtual (https://bucket.host).",
            "Comment les buckets sont adressés : auto, path (https://host/bucket) ou virtual (https://bucket.host).",
            "Cómo se direccionan los buckets: auto, path (https://host/bucket) o virtual (https://bucket.host).",
            "バケットの指定方法。auto、path（https://host/bucket）、virtual（https://bucket.host）のいずれか。",
            "儲存貯體的定址方式：auto、path（https://host/bucket）或 virtual（https://bucket.host）。",
        ],
    ),
    ("Bucket", ["Bucket", "Bucket", "Bucket", "バケット", "儲存貯體"]),
    (
        "Show only this bucket, as the root. Needed when the key may not list buckets.",
        [
            "Nur diesen Bucket zeigen, als oberste Ebene. Nötig, wenn der Schlüssel Buckets nicht auflisten darf.",
            "N’afficher que ce bucket, comme racine. Nécessaire si la clé ne peut pas lister les buckets.",
            "Mostrar solo este bucket, como raíz. Necesario si la clave no puede listar buckets.",
            "このバケットだけをルートとして表示します。キーにバケット一覧の権限がない場合に必要です。",
            "只顯示這個儲存貯體作為根目錄。金鑰無法列出儲存貯體時必填。",
        ],
    ),
    (
        "Show only this folder of the bucket, as the root.",
        [
            "Nur diesen Ordner des Buckets zeigen, als oberste Ebene.",
            "N’afficher que ce dossier du bucket, comme racine.",
            "Mostrar solo esta carpeta del bucket, como raíz.",
            "バケット内のこのフォルダーだけをルートとして表示します。",
            "只顯示儲存貯體中的這個資料夾作為根目錄。",
        ],
    ),
    (
        "Event queue",
        [
            "Warteschlange für Ereignisse",
            "File d’événements",
            "Cola de eventos",
            "イベントキュー",
            "事件佇列",
        ],
    ),
    (
        "Optional: the URL of an SQS queue that the bucket's events go to, for this account alone. Changes are then \
         noticed within seconds.",
        [
            "Optional: die URL einer SQS-Warteschlange, in die die Ereignisse des Buckets gehen, nur für dieses Konto. \
             Änderungen werden dann in Sekunden bemerkt.",
            "Facultatif : l’URL d’une file SQS qui reçoit les événements du bucket, pour ce compte seulement. Les \
             modifications sont alors remarquées en quelques secondes.",
            "Opcional: la URL de una cola SQS a la que van los eventos del bucket, solo para esta cuenta. Los cambios se \
             notan entonces en segundos.",
            "任意：このアカウント専用の、バケットのイベントが送られる SQS キューの URL。変更が数秒で検知されます。",
            "選填：接收儲存貯體事件的 SQS 佇列網址，僅供此帳戶使用。變更會在數秒內被發現。",
        ],
    ),
    ("Endpoint", ["Endpunkt", "Point d’accès", "Punto de acceso", "エンドポイント", "端點"]),
    (
        "Where the service is, such as https://s3.example.com.",
        [
            "Wo der Dienst ist, zum Beispiel https://s3.example.com.",
            "L’adresse du service, par exemple https://s3.example.com.",
            "Dónde está el servicio, por ejemplo https://s3.example.com.",
            "サービスのアドレス。例：https://s3.example.com",
            "服務的位址，例如 https://s3.example.com。",
        ],
    ),
    (
        "The absolute path of a folder on the server's machine.",
        [
            "Der absolute Pfad eines Ordners auf dem Rechner des Servers.",
            "Le chemin absolu d’un dossier sur la machine du serveur.",
            "La ruta absoluta de una carpeta en la máquina del servidor.",
            "サーバーのマシン上にあるフォルダーの絶対パス。",
            "伺服器主機上資料夾的絕對路徑。",
        ],
    ),
    ("Organisation", ["Organisation", "Organisation", "Organización", "組織", "組織"]),
    (
        "For an account of a whole organisation: its domain or tenant id.",
        [
            "Für das Konto einer ganzen Organisation: ihre Domain oder Mandanten-ID.",
            "Pour le compte de toute une organisation : son domaine ou son ID de locataire.",
            "Para la cuenta de toda una organización: su dominio o su ID de inquilino.",
            "組織全体のアカウントの場合：ドメインまたはテナント ID。",
            "用於整個組織的帳戶：其網域或租用戶 ID。",
        ],
    ),
    ("Site", ["Website", "Site", "Sitio", "サイト", "網站"]),
    (
        "One site, as HOST/sites/NAME. Left out, every site that the account may see.",
        [
            "Eine Website, als HOST/sites/NAME. Ohne Angabe jede Website, die das Konto sehen darf.",
            "Un site, sous la forme HOST/sites/NAME. Par défaut, tous les sites que le compte peut voir.",
            "Un sitio, como HOST/sites/NAME. Si se omite, todos los sitios que la cuenta puede ver.",
            "1 つのサイト（HOST/sites/NAME の形式）。空欄の場合は、アカウントが閲覧できるすべてのサイトです。",
            "單一網站，格式為 HOST/sites/NAME。留空則為帳戶可見的所有網站。",
        ],
    ),
];
