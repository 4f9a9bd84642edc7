# ruff: noqa: RUF001 - sentences of every script, whose letters look alike
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py3langid.langid import LanguageIdentifier

from services.summarize import languages
from services.summarize.languages import NAMES, SHORTEST_FOREIGN_SENTENCE, is_written_in, language_of

# "The team decided to put off the launch until Friday because the supplier was late", in as many languages as may be.
SENTENCES = {
    "en": "The team agreed to move the launch to Friday because the supplier was late.",
    "de": "Das Team hat beschlossen, den Start auf Freitag zu verschieben, weil der Lieferant zu spät war.",
    "fr": "L'équipe a décidé de reporter le lancement à vendredi parce que le fournisseur était en retard.",
    "es": "El equipo decidió aplazar el lanzamiento hasta el viernes porque el proveedor llegó tarde.",
    "it": "La squadra ha deciso di rinviare il lancio a venerdì perché il fornitore era in ritardo.",
    "pt": "A equipe decidiu adiar o lançamento para sexta-feira porque o fornecedor atrasou.",
    "nl": "Het team besloot de lancering naar vrijdag te verplaatsen omdat de leverancier te laat was.",
    "sv": "Teamet beslutade att skjuta upp lanseringen till fredag eftersom leverantören var sen.",
    "da": "Holdet besluttede at udskyde lanceringen til fredag, fordi leverandøren var forsinket.",
    "no": "Teamet bestemte seg for å utsette lanseringen til fredag fordi leverandøren var forsinket.",
    "fi": "Tiimi päätti siirtää julkaisun perjantaille, koska toimittaja oli myöhässä.",
    "pl": "Zespół postanowił przełożyć premierę na piątek, ponieważ dostawca się spóźnił.",
    "cs": "Tým se rozhodl odložit spuštění na pátek, protože se dodavatel opozdil.",
    "sk": "Tím sa rozhodol odložiť spustenie na piatok, pretože dodávateľ meškal.",
    "hu": "A csapat úgy döntött, hogy péntekre halasztja az indulást, mert a beszállító késett.",
    "ro": "Echipa a hotărât să amâne lansarea pentru vineri, deoarece furnizorul a întârziat.",
    "tr": "Ekip, tedarikçi geciktiği için lansmanı cuma gününe ertelemeye karar verdi.",
    "vi": "Nhóm quyết định dời buổi ra mắt sang thứ sáu vì nhà cung cấp giao hàng muộn.",
    "id": "Tim memutuskan untuk menunda peluncuran sampai hari Jumat karena pemasok terlambat.",
    "ms": "Pasukan itu memutuskan untuk menangguhkan pelancaran sehingga hari Jumaat kerana pembekal lewat.",
    "ru": "Команда решила перенести запуск на пятницу, потому что поставщик опоздал.",
    "uk": "Команда вирішила перенести запуск на п'ятницю, бо постачальник запізнився.",
    "bg": "Екипът реши да отложи старта за петък, защото доставчикът закъсня.",
    "sr": "Тим је одлучио да одложи почетак за петак јер је добављач каснио.",
    "hr": "Tim je odlučio odgoditi pokretanje za petak jer je dobavljač kasnio.",
    "sl": "Ekipa se je odločila prestaviti zagon na petek, ker je dobavitelj zamujal.",
    "el": "Η ομάδα αποφάσισε να μεταθέσει την έναρξη για την Παρασκευή επειδή ο προμηθευτής άργησε.",
    "ar": "قرر الفريق تأجيل الإطلاق إلى يوم الجمعة لأن المورد تأخر.",
    "fa": "تیم تصمیم گرفت راه\u200cاندازی را به جمعه موکول کند چون تأمین\u200cکننده دیر کرد.",
    "ur": "ٹیم نے فیصلہ کیا کہ آغاز جمعہ تک ملتوی کیا جائے کیونکہ سپلائر نے دیر کر دی۔",
    "he": "הצוות החליט לדחות את ההשקה ליום שישי כי הספק איחר.",
    "hi": "टीम ने लॉन्च को शुक्रवार तक टालने का फैसला किया क्योंकि सप्लायर को देर हो गई।",
    "mr": "पुरवठादाराला उशीर झाल्यामुळे संघाने शुभारंभ शुक्रवारपर्यंत पुढे ढकलण्याचा निर्णय घेतला.",
    "bn": "সরবরাহকারী দেরি করায় দলটি শুক্রবার পর্যন্ত উদ্বোধন পিছিয়ে দেওয়ার সিদ্ধান্ত নিয়েছে।",
    "ta": "விநியோகஸ்தர் தாமதமானதால் வெளியீட்டை வெள்ளிக்கிழமைக்கு ஒத்திவைக்க குழு முடிவு செய்தது.",
    "th": "ทีมตัดสินใจเลื่อนการเปิดตัวไปเป็นวันศุกร์เพราะผู้จัดหาส่งของช้า",
    "ko": "공급업체가 늦어져서 팀은 출시를 금요일로 미루기로 했습니다.",
    "ja": "仕入れ先が遅れたため、チームは発売を金曜日に延期することにしました。",
    "zh": "由于供应商延误，团队决定把发布推迟到星期五。",
    "ca": "L'equip va decidir ajornar el llançament fins divendres perquè el proveïdor va fer tard.",
    "lt": "Komanda nusprendė nukelti pradžią į penktadienį, nes tiekėjas vėlavo.",
    "lv": "Komanda nolēma atlikt sākumu uz piektdienu, jo piegādātājs kavējās.",
    "et": "Meeskond otsustas käivitamise reedele lükata, sest tarnija hilines.",
    "sw": "Timu iliamua kuahirisha uzinduzi hadi Ijumaa kwa sababu msambazaji alichelewa.",
    "tl": "Nagpasya ang koponan na ipagpaliban ang paglulunsad sa Biyernes dahil nahuli ang tagatustos.",
    "af": "Die span het besluit om die bekendstelling tot Vrydag uit te stel omdat die verskaffer laat was.",
    "is": "Hópurinn ákvað að fresta opnuninni til föstudags vegna þess að birgirinn var seinn.",
    "sq": "Ekipi vendosi ta shtyjë nisjen për të premten sepse furnizuesi u vonua.",
    "az": "Komanda təchizatçı gecikdiyi üçün başlanğıcı cümə gününə təxirə salmağa qərar verdi.",
    "kk": "Жеткізуші кешіккендіктен команда іске қосуды жұмаға қалдыруға шешім қабылдады.",
    "hy": "Թիմը որոշեց մեկնարկը հետաձգել մինչև ուրբաթ, քանի որ մատակարարն ուշացել էր։",
    "ka": "გუნდმა გადაწყვიტა გაშვების გადატანა პარასკევისთვის, რადგან მომწოდებელმა დააგვიანა.",
    "am": "አቅራቢው ስለዘገየ ቡድኑ ምረቃውን ወደ አርብ ለማዛወር ወሰነ።",
    "yi": "די גרופע האָט באַשלאָסן אָפּצולייגן דעם אָנהייב ביז פֿרײַטיק ווײַל דער ספּליער האָט זיך פֿאַרשפּעטיקט.",
    "eu": "Taldeak abiaraztea ostiralera atzeratzea erabaki zuen, hornitzailea berandu zebilelako.",
    "gl": "O equipo decidiu adiar o lanzamento ata o venres porque o provedor chegou tarde.",
    "cy": "Penderfynodd y tîm ohirio'r lansiad tan ddydd Gwener am fod y cyflenwr yn hwyr.",
    "ne": "आपूर्तिकर्ता ढिलो भएकाले टोलीले सुरुवात शुक्रबारसम्म सार्ने निर्णय गर्\u200dयो।",
    "be": "Каманда вырашыла перанесці запуск на пятніцу, бо пастаўшчык спазніўся.",
    "mk": "Тимот одлучи да го одложи почетокот за петок бидејќи добавувачот доцнеше.",
    "te": "సరఫరాదారు ఆలస్యం కావడంతో బృందం ప్రారంభాన్ని శుక్రవారానికి వాయిదా వేసింది.",
    "kn": "ಪೂರೈಕೆದಾರರು ತಡಮಾಡಿದ್ದರಿಂದ ತಂಡವು ಬಿಡುಗಡೆಯನ್ನು ಶುಕ್ರವಾರಕ್ಕೆ ಮುಂದೂಡಿತು.",
    "ml": "വിതരണക്കാരൻ വൈകിയതിനാൽ ടീം തുടക്കം വെള്ളിയാഴ്ചയിലേക്ക് മാറ്റി.",
    "gu": "સપ્લાયર મોડો હોવાથી ટીમે શરૂઆત શુક્રવાર સુધી મુલતવી રાખી.",
    "pa": "ਸਪਲਾਇਰ ਦੇ ਲੇਟ ਹੋਣ ਕਰਕੇ ਟੀਮ ਨੇ ਸ਼ੁਰੂਆਤ ਸ਼ੁੱਕਰਵਾਰ ਤੱਕ ਟਾਲ ਦਿੱਤੀ।",
    "si": "සැපයුම්කරු ප්\u200dරමාද වූ නිසා කණ්ඩායම ආරම්භය සිකුරාදා දක්වා කල් දැමීය.",
    "km": "ក្រុមបានសម្រេចចិត្តពន្យារពេលការចាប់ផ្តើមទៅថ្ងៃសុក្រ",
    "lo": "ທີມງານຕັດສິນໃຈເລື່ອນການເປີດຕົວໄປວັນສຸກ",
    "my": "ပေးသွင်းသူ နောက်ကျသောကြောင့် အဖွဲ့က စတင်မှုကို သောကြာနေ့သို့ ရွှေ့ဆိုင်းခဲ့သည်။",
    "ga": "Chinn an fhoireann an seoladh a chur siar go dtí an Aoine mar bhí an soláthróir déanach.",
    "mt": "It-tim iddeċieda li jipposponi t-tnedija għal nhar il-Ġimgħa għax il-fornitur kien tard.",
    "lb": "D'Equipe huet decidéiert, de Start op e Freideg ze verréckelen, well de Fournisseur ze spéit war.",
    "so": "Kooxdu waxay go'aansatay inay dib u dhigto furitaanka ilaa Jimcaha sababtoo ah iibiyaha ayaa soo daahay.",
    "yo": "Ẹgbẹ́ náà pinnu láti sún ìfilọ́lẹ̀ náà sí ọjọ́ Ẹtì nítorí pé olùpèsè náà pẹ́.",
    "mn": "Нийлүүлэгч хоцорсон тул баг нээлтийг баасан гараг хүртэл хойшлуулахаар шийдлээ.",
    "uz": "Yetkazib beruvchi kechikkani uchun jamoa ishga tushirishni juma kuniga qoldirishga qaror qildi.",
}

# "Anna will send the revised budget to everybody by the end of the week."
MORE_SENTENCES = {
    "en": "Anna will send the revised budget to everyone by the end of the week.",
    "de": "Anna schickt allen bis Ende der Woche das überarbeitete Budget.",
    "fr": "Anna enverra le budget révisé à tout le monde avant la fin de la semaine.",
    "es": "Ana enviará el presupuesto revisado a todos antes del fin de semana.",
    "it": "Anna manderà a tutti il bilancio rivisto entro la fine della settimana.",
    "pt": "A Ana vai enviar o orçamento revisto a todos até ao fim da semana.",
    "nl": "Anna stuurt iedereen voor het einde van de week de herziene begroting.",
    "sv": "Anna skickar den reviderade budgeten till alla före veckans slut.",
    "da": "Anna sender det reviderede budget til alle inden ugens udgang.",
    "no": "Anna sender det reviderte budsjettet til alle innen uken er over.",
    "fi": "Anna lähettää tarkistetun budjetin kaikille viikon loppuun mennessä.",
    "pl": "Anna wyśle wszystkim poprawiony budżet do końca tygodnia.",
    "cs": "Anna pošle všem upravený rozpočet do konce týdne.",
    "sk": "Anna pošle všetkým upravený rozpočet do konca týždňa.",
    "hu": "Anna a hét végéig mindenkinek elküldi az átdolgozott költségvetést.",
    "ro": "Ana va trimite tuturor bugetul revizuit până la sfârșitul săptămânii.",
    "tr": "Anna, gözden geçirilmiş bütçeyi hafta sonuna kadar herkese gönderecek.",
    "vi": "Anna sẽ gửi ngân sách đã sửa cho mọi người trước cuối tuần.",
    "id": "Anna akan mengirim anggaran yang direvisi kepada semua orang sebelum akhir minggu.",
    "ms": "Anna akan menghantar belanjawan yang disemak kepada semua sebelum hujung minggu.",
    "ru": "Анна отправит всем исправленный бюджет до конца недели.",
    "uk": "Анна надішле всім виправлений бюджет до кінця тижня.",
    "bg": "Анна ще изпрати на всички преработения бюджет до края на седмицата.",
    "sr": "Ана ће свима послати исправљени буџет до краја недеље.",
    "hr": "Ana će svima poslati ispravljeni proračun do kraja tjedna.",
    "sl": "Ana bo vsem poslala popravljeni proračun do konca tedna.",
    "el": "Η Άννα θα στείλει σε όλους τον αναθεωρημένο προϋπολογισμό.",
    "ar": "سترسل آنا الميزانية المعدلة إلى الجميع قبل نهاية الأسبوع.",
    "fa": "آنا بودجه اصلاح\u200cشده را تا پایان هفته برای همه می\u200cفرستد.",
    "ur": "آنا ہفتے کے آخر تک سب کو نظرثانی شدہ بجٹ بھیجے گی۔",
    "he": "אנה תשלח לכולם את התקציב המתוקן עד סוף השבוע.",
    "hi": "अन्ना हफ़्ते के अंत तक सबको संशोधित बजट भेजेगी।",
    "mr": "अ\u200dॅना आठवड्याच्या अखेरीपर्यंत सर्वांना सुधारित अंदाजपत्रक पाठवेल.",
    "bn": "আনা সপ্তাহ শেষ হওয়ার আগে সবাইকে সংশোধিত বাজেট পাঠাবে।",
    "ko": "안나가 이번 주말까지 수정된 예산을 모두에게 보낼 예정입니다.",
    "ja": "アンナが週末までに修正した予算を全員に送ります。",
    "zh": "安娜会在周末之前把修改后的预算发给大家。",
}

ALIKE = [{"no", "nn", "da"}, {"hr", "bs", "sr"}, {"id", "ms"}, {"cs", "sk"}, {"gl", "pt"}, {"bg", "mk"}, {"de", "lb"}]


def are_alike(first: str, second: str) -> bool:
    return any(first in family and second in family for family in ALIKE)


def test_names_are_of_codes_of_two_letters_and_begin_with_a_capital() -> None:
    assert len(NAMES) >= 90
    assert all(len(code) == 2 and code.islower() for code in NAMES)
    assert all(name[0].isupper() and name.isascii() for name in NAMES.values())
    assert len(set(NAMES.values())) == len(NAMES)


def test_nobody_can_change_the_names() -> None:
    with pytest.raises(TypeError):
        NAMES["en"] = "Klingon"  # type: ignore[index] # what is tested


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_enough_to_tell_its_language(code: str) -> None:
    assert language_of(SENTENCES[code]) == code


@pytest.mark.parametrize("code", MORE_SENTENCES)
def test_so_is_one_with_a_foreign_name(code: str) -> None:
    assert language_of(MORE_SENTENCES[code]) == code


@pytest.mark.parametrize("code", SENTENCES)
def test_a_transcript_without_case_and_punctuation_is_told_as_well(code: str) -> None:
    text = SENTENCES[code].casefold()
    assert language_of("".join(letter for letter in text if letter not in ".,。、।։።")) == code


@pytest.mark.parametrize(
    "text", ["", " \n", "ok 12", "1234 5678", "?!", "hm", "\x00\x1b[0m", "🙂🙂🙂", "\ud800", "\u0301" * 50]
)
def test_too_little_to_tell_is_taken_for_english(text: str) -> None:
    assert language_of(text) == "en"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("네", "ko"),
        ("はい", "ja"),
        ("好", "zh"),
        ("כן", "he"),
        ("ใช่", "th"),
        ("ναι", "el"),
        ("да", "ru"),
        ("نعم", "ar"),
    ],
)
def test_one_word_of_a_script_of_its_own_is_enough(text: str, code: str) -> None:
    assert language_of(text) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Anna Schmidt, Peter Meier: Guten Morgen", "de"),
        ("Okay, thanks everyone", "en"),
        ("Bob Miller", "en"),
        ("merci beaucoup", "fr"),
        ("Tack så mycket", "sv"),
        ("спасибо большое", "ru"),
    ],
)
def test_a_few_words_are_told_where_they_tell(text: str, code: str) -> None:
    assert language_of(text) == code


def test_kana_make_han_japanese_and_a_quoted_name_does_not() -> None:
    assert language_of("会議資料を共有します") == "ja"
    assert language_of("会议资料共享") == "zh"
    assert (
        language_of("我们昨天在东京和トヨタ公司讨论了新的合作计划, 双方都同意下个月再次见面并且签署正式的协议") == "zh"
    )


@pytest.mark.parametrize("code", ["ko", "ja", "zh", "ru", "ar", "hi", "th"])
def test_latin_names_do_not_make_a_text_english(code: str) -> None:
    assert language_of(f"Netflix, OpenAI {SENTENCES[code]} YouTube") == code


@pytest.mark.parametrize(
    ("most", "least"), [("de", "en"), ("en", "fr"), ("ko", "en"), ("en", "zh"), ("es", "ru"), ("ja", "zh")]
)
def test_a_mixed_text_is_in_the_language_of_most_of_it(most: str, least: str) -> None:
    lines = [SENTENCES[least]] * 12 + [SENTENCES[most], MORE_SENTENCES[most]] * 10
    assert language_of("\n".join(lines)) == most
    assert language_of("\n".join(reversed(lines))) == most


@pytest.mark.parametrize("code", ["en", "de", "ko", "zh", "ar"])
@pytest.mark.parametrize("other", ["fr", "ja"])
def test_a_long_text_is_judged_over_its_whole_length(code: str, other: str) -> None:
    most, least = SENTENCES[code] + " ", SENTENCES[other] + " "
    filler = most * (1_000_000 // len(most))
    strange = least * (150_000 // len(least))
    for text in (strange + filler, filler + strange, filler[: len(filler) // 2] + strange + filler[len(filler) // 2 :]):
        assert language_of(text) == code


def test_reading_a_long_text_costs_no_more_than_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    scores = languages._scores

    def counted(pieces: list[str], candidates: set[str]) -> object:
        nonlocal read
        read += sum(map(len, pieces))
        return scores(pieces, candidates)

    monkeypatch.setattr(languages, "_scores", counted)
    language_of(SENTENCES["en"] * 20_000)
    assert 0 < read <= 12_000


@given(st.text())
def test_any_text_has_a_language_and_always_the_same(text: str) -> None:
    code = language_of(text)
    assert code in NAMES
    assert language_of(text) == code


@given(st.sampled_from(sorted(SENTENCES)), st.integers(1, 60))
def test_saying_it_again_changes_nothing(code: str, times: int) -> None:
    assert language_of(" ".join([SENTENCES[code]] * times)) == code


@given(
    st.text(),
    st.sampled_from(sorted(NAMES)) | st.text(max_size=3),
    st.sampled_from(sorted(NAMES)) | st.text(max_size=3),
)
def test_any_text_may_be_judged(text: str, language: str, other: str) -> None:
    assert is_written_in(text, language, other) in (True, False)


@given(st.text(), st.text(alphabet="0123456789", min_size=3))
def test_of_an_unknown_language_nothing_is_told(text: str, language: str) -> None:
    assert is_written_in(text, language, "en")


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_in_its_language_whatever_the_other_is(code: str) -> None:
    assert all(is_written_in(SENTENCES[code], code, other) for other in NAMES)


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_in_no_other_language(code: str) -> None:
    # The classifier knows no Yiddish, so that is told from Hebrew only in `language_of`.
    others = [
        other for other in SENTENCES if other != code and not are_alike(code, other) and {code, other} != {"he", "yi"}
    ]
    assert [other for other in others if is_written_in(SENTENCES[code], other, code)] == []


@pytest.mark.parametrize("code", [code for code in SENTENCES if code != "en"])
def test_english_is_noticed_although_the_other_language_is_not_english(code: str) -> None:
    assert not is_written_in(SENTENCES["en"], code, code)
    assert not is_written_in(SENTENCES["en"], code, "it" if code == "es" else "es")


@pytest.mark.parametrize(
    ("text", "language", "other"),
    [
        ("", "de", "en"),
        ("12 %", "ko", "en"),
        ("OK", "de", "en"),
        ("Meeting Follow-up", "de", "en"),
        ("Das Meeting mit dem Sales Team über das Cloud Deployment ist am Freitag.", "de", "en"),
        ("L'équipe marketing lance le nouveau dashboard SaaS.", "fr", "en"),
        ("Netflix와 YouTube 비교", "ko", "en"),
        ("OpenAI와 Google이 파트너십을 발표했습니다.", "ko", "en"),
        ("OpenAI和Google讨论API", "zh", "en"),
        ("GitHub Copilot", "ja", "en"),
        ("会議資料共有", "ja", "zh"),
        ("李明", "de", "zh"),
        ("Anna Schmidt, Peter Müller, Bob Miller, John Smith", "fr", "de"),
        ("Microsoft, Google, Amazon, Netflix, Spotify", "pl", "en"),
        ("Ana će svima poslati ispravljeni proračun.", "sr", "hr"),
        ("我们和の社签约", "zh", "ja"),
    ],
)
def test_names_numbers_loan_words_and_short_sentences_are_no_offence(text: str, language: str, other: str) -> None:
    assert is_written_in(text, language, other)


@pytest.mark.parametrize(
    ("text", "language", "other"),
    [
        ("会议纪要", "de", "de"),
        ("由于供应商延误, 团队决定把发布推迟到星期五", "ja", "zh"),
        ("チームは発売を延期", "zh", "ja"),
        ("revenue grew", "ko", "ko"),
        ("The Team Will Meet On Friday In Berlin", "ko", "ko"),
        ("Marketing Team Launches Product In October", "de", "en"),
        ("THE TEAM AGREED TO LAUNCH THE PRODUCT", "de", "en"),
        ("Команда решила", "de", "ru"),
        ("अन्ना सबको संशोधित बजट भेजेगी", "en", "hi"),
    ],
)
def test_another_script_or_language_is_noticed(text: str, language: str, other: str) -> None:
    assert not is_written_in(text, language, other)


def test_the_classifier_is_not_asked_about_a_few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "_scores", None)
    words = SENTENCES["en"].split()[: SHORTEST_FOREIGN_SENTENCE - 1]
    assert is_written_in(" ".join(words), "de", "fr")


def test_the_model_is_loaded_once_however_many_ask_first(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    together = threading.Barrier(8, timeout=20)
    load = LanguageIdentifier.from_model_file

    def counted(path: str) -> object:
        loaded.append(path)
        return load(path)

    def ask(code: str) -> str:
        together.wait()
        return language_of(SENTENCES[code])

    monkeypatch.setattr(LanguageIdentifier, "from_model_file", counted)
    languages._load_classifier.cache_clear()
    codes = ["en", "de", "fr", "es", "it", "pt", "nl", "sv"]
    with ThreadPoolExecutor(len(codes)) as threads:
        assert list(threads.map(ask, codes)) == codes
    assert len(loaded) == 1
