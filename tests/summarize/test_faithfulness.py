# ruff: noqa: RUF001 - sentences of every script, whose letters look alike
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.summarize.faithfulness import Evidence
from tests.summarize.said_and_written import NUMERALS, SAME_NAMES, SAME_NUMBERS, SPOKEN_NUMBERS, unsupported

# One meeting, as speech recognition writes it: mostly in lower case, without punctuation, with numbers in words.
MEETINGS = {
    "en": (
        "Sarah: Good morning everyone. Let's start with the quarterly numbers. Revenue was up seven percent "
        "to four point two million dollars, mostly from the Berlin office.\n"
        "Tom: Right, but the churn in Canada worries me. We lost twelve accounts in October.\n"
        "Sarah: Can you look into that by next Friday, Tom? And please loop in Priya from customer success.\n"
        "Tom: Sure. I also want to talk about the migration to Kubernetes. The vendor quoted us 18,500 euros "
        "for the first phase.\n"
        "Priya: We should compare that with Amazon's offer. I'll ask Kevin O'Connor to send the contract by "
        "the 3rd of November.\n"
        "Sarah: Great. The board meets on November 14th at 2:30 pm, so we need the deck by then. The CEO "
        "wants it in PowerPoint.\n"
    ),
    "de": (
        "guten morgen zusammen wir fangen mit den quartalszahlen an der umsatz ist um sieben prozent auf vier"
        " komma zwei millionen euro gestiegen vor allem durch das büro in hamburg\n"
        "ja aber die kündigungen in österreich machen mir sorgen wir haben im oktober zwölf kunden verloren\n"
        "kannst du dir das bis nächsten freitag anschauen thomas und bitte nimm lena vom kundendienst dazu\n"
        "klar ich möchte auch über den umzug auf kubernetes sprechen der anbieter hat uns "
        "achtzehntausendfünfhundert euro für die erste phase angeboten\n"
    ),
    "fr": (
        "bonjour à tous commençons par les chiffres du trimestre le chiffre d'affaires a augmenté de sept "
        "pour cent à quatre virgule deux millions d'euros surtout grâce au bureau de lyon\n"
        "oui mais les départs au canada m'inquiètent nous avons perdu douze comptes en octobre\n"
        "thomas peux tu regarder ça d'ici vendredi prochain et prévenir camille du service client\n"
        "le fournisseur nous a proposé dix-huit mille cinq cents euros pour la première phase\n"
    ),
    "es": (
        "buenos días a todos empecemos con las cifras del trimestre los ingresos subieron un siete por ciento"
        " hasta cuatro coma dos millones de euros sobre todo por la oficina de sevilla\n"
        "sí pero las bajas en chile me preocupan perdimos doce cuentas en octubre\n"
        "tomás puedes mirarlo antes del viernes y avisar a lucía de atención al cliente\n"
        "el proveedor nos pidió dieciocho mil quinientos euros por la primera fase\n"
    ),
    "ru": (
        "доброе утро начнём с цифр за квартал выручка выросла на семь процентов до четырёх целых двух десятых"
        " миллиона евро в основном из-за офиса в казани\n"
        "да но отток в канаде меня беспокоит мы потеряли двенадцать клиентов в октябре\n"
        "иван посмотри это до пятницы и подключи ольгу из поддержки\n"
        "поставщик запросил восемнадцать тысяч пятьсот евро за первый этап\n"
    ),
    "pl": (
        "dzień dobry zacznijmy od wyników kwartału przychody wzrosły o siedem procent głównie dzięki biuru w "
        "krakowie\n"
        "tak ale odejścia w kanadzie mnie martwią straciliśmy dwunastu klientów w październiku\n"
        "tomek sprawdź to do piątku i włącz do tego magdę z obsługi klienta dostawca zaproponował osiemnaście"
        " tysięcy pięćset euro\n"
    ),
    "ja": (
        "おはようございます。四半期の数字から始めましょう。売上は7パーセント増えて四百二十万ドルになりました"
        "。主に大阪オフィスのおかげです。\n"
        "はい、でもカナダの解約が心配です。10月に12社を失いました。\n"
        "田中さん、金曜日までに調べてもらえますか。カスタマーサクセスの佐藤さんにも声をかけてください。\n"
    ),
    "zh": (
        "大家早上好，我们先看季度数据。收入增长了百分之七，达到四百二十万美元，主要来自上海办公室。\n"
        "对，但是加拿大的流失让我担心，我们十月丢了十二个客户。\n"
        "小王，你能在星期五之前看一下吗？请叫上客服部的李娜。供应商报价一万八千五百欧元。\n"
    ),
    "ko": (
        "좋은 아침입니다. 분기 실적부터 시작하겠습니다. 매출이 칠 퍼센트 늘어서 사백이십만 달러가 "
        "되었습니다. 주로 부산 사무실 덕분입니다.\n"
        "네, 그런데 캐나다의 이탈이 걱정입니다. 시월에 열두 개 고객사를 잃었습니다.\n"
        "민수 씨, 금요일까지 확인해 주시겠어요? 쿠버네티스 이전 비용은 만 팔천오백 유로입니다.\n"
    ),
    "ar": (
        "صباح الخير جميعا لنبدأ بأرقام الربع ارتفعت الإيرادات سبعة في المئة إلى أربعة ملايين دولار بسبب مكتب "
        "دبي\n"
        "نعم لكن خسارة العملاء في كندا تقلقني خسرنا اثني عشر عميلا في أكتوبر\n"
        "خالد هل يمكنك النظر في ذلك قبل الجمعة مع ليلى من خدمة العملاء\n"
    ),
    "it": (
        "buongiorno a tutti cominciamo dai numeri del trimestre i ricavi sono saliti del sette per cento a "
        "quattro virgola due milioni di euro grazie all'ufficio di torino\n"
        "sì ma le disdette in canada mi preoccupano abbiamo perso dodici clienti a ottobre\n"
        "marco puoi guardarci entro venerdì e coinvolgere giulia dell'assistenza il fornitore ha chiesto "
        "diciottomilacinquecento euro\n"
    ),
    "pt": (
        "bom dia a todos vamos começar pelos números do trimestre a receita subiu sete por cento para quatro "
        "vírgula dois milhões de euros graças ao escritório do porto\n"
        "sim mas os cancelamentos no canadá preocupam-me perdemos doze contas em outubro\n"
        "tiago podes ver isso até sexta-feira e falar com a inês do apoio ao cliente o fornecedor pediu "
        "dezoito mil e quinhentos euros\n"
    ),
    "nl": (
        "goedemorgen allemaal we beginnen met de kwartaalcijfers de omzet steeg zeven procent tot vier komma "
        "twee miljoen euro vooral dankzij het kantoor in utrecht\n"
        "ja maar het verloop in canada baart me zorgen we verloren twaalf klanten in oktober\n"
        "thomas kun je dat voor vrijdag bekijken met sanne van de klantenservice de leverancier vroeg "
        "achttienduizendvijfhonderd euro\n"
    ),
    "sv": (
        "god morgon allihopa vi börjar med kvartalssiffrorna omsättningen ökade med sju procent till fyra "
        "komma två miljoner euro tack vare kontoret i göteborg\n"
        "ja men tappet i kanada oroar mig vi förlorade tolv kunder i oktober\n"
        "johan kan du titta på det före fredag och ta med elin från kundtjänst leverantören begärde "
        "artontusenfemhundra euro\n"
    ),
    "tr": (
        "herkese günaydın çeyrek rakamlarıyla başlayalım gelir yüzde yedi artarak dört virgül iki milyon "
        "avroya çıktı özellikle izmir ofisi sayesinde\n"
        "evet ama kanadadaki kayıplar beni endişelendiriyor ekimde on iki müşteri kaybettik\n"
        "mehmet cumaya kadar buna bakabilir misin ayşe de katılsın tedarikçi on sekiz bin beş yüz avro istedi\n"
    ),
    "fi": (
        "hyvää huomenta aloitetaan neljänneksen luvuista liikevaihto kasvoi seitsemän prosenttia lähinnä "
        "tampereen toimiston ansiosta\n"
        "joo mutta kanadan asiakaspoistuma huolettaa menetimme kaksitoista asiakasta lokakuussa\n"
        "matti voisitko katsoa tätä perjantaihin mennessä yhdessä liisan kanssa toimittaja pyysi "
        "kahdeksantoistatuhatta viisisataa euroa\n"
    ),
    "hi": (
        "सुप्रभात चलिए तिमाही के आंकड़ों से शुरू करते हैं आय सात प्रतिशत बढ़ी मुख्य रूप से पुणे ऑफिस की वजह "
        "से\n"
        "हाँ लेकिन कनाडा में नुकसान की चिंता है हमने अक्टूबर में बारह ग्राहक खोए\n"
        "राहुल क्या तुम शुक्रवार तक देख सकते हो और प्रिया को भी शामिल करो\n"
    ),
    "uk": (
        "доброго ранку почнімо з цифр за квартал дохід зріс на сім відсотків здебільшого завдяки офісу у "
        "львові\n"
        "так але відтік у канаді мене турбує ми втратили дванадцять клієнтів у жовтні\n"
        "іване подивись це до п'ятниці й залучи олену з підтримки постачальник попросив вісімнадцять тисяч "
        "п'ятсот євро\n"
    ),
}

FAITHFUL = [
    ("en", "Revenue rose 7% to $4.2 million, driven by the Berlin office."),
    ("en", "Tom will investigate the loss of 12 Canadian accounts in October by Friday."),
    ("en", "Priya suggests comparing the vendor's quote of €18,500 with Amazon's offer."),
    ("en", "Kevin O'Connor will send the contract by November 3."),
    ("en", "The board meeting is on November 14 at 14:30."),
    ("en", "Sarah asked for the deck in PowerPoint before the board meeting."),
    ("en", "Tom and Priya will look into the churn in Canada."),
    ("en", "The CEO wants a PowerPoint deck."),
    ("en", "Action item: Tom to review the churn by Friday."),
    ("en", "Despite growth, Tom is worried about churn; Sarah agrees."),
    ("en", "Quarterly Revenue Up Seven Percent Thanks To Berlin Office"),
    ("en", "They discussed the Kubernetes migration (first phase: 18,500 euros)."),
    ("en", "Key decision: Compare quotes before signing."),
    ("en", "Owner: Tom"),
    ("en", "Sarah's team reported growth."),
    ("de", "Der Umsatz stieg um 7 % auf 4,2 Millionen Euro, vor allem dank des Hamburger Büros."),
    ("de", "Thomas prüft bis Freitag gemeinsam mit Lena den Verlust von 12 Kunden in Österreich."),
    ("de", "Der Anbieter verlangt 18.500 Euro für die erste Phase des Umzugs auf Kubernetes."),
    ("de", "Das Team besprach die Quartalszahlen und die Kündigungen."),
    ("de", "Im Oktober gingen zwölf Kunden verloren."),
    ("de", "Die Besprechung drehte sich um Umsatz, Kundenverluste und Kosten der Migration."),
    ("fr", "Le chiffre d'affaires a progressé de 7 % pour atteindre 4,2 millions d'euros grâce au bureau de Lyon."),
    ("fr", "Thomas analysera la perte de 12 comptes au Canada d'ici vendredi avec Camille."),
    ("fr", "Le fournisseur demande 18 500 euros pour la première phase."),
    ("es", "Los ingresos subieron un 7 % hasta 4,2 millones de euros gracias a la oficina de Sevilla."),
    ("es", "Tomás revisará la pérdida de 12 cuentas en Chile antes del viernes con Lucía."),
    ("es", "El proveedor pide 18.500 euros por la primera fase."),
    ("ru", "Выручка выросла на 7 % до 4,2 миллиона евро благодаря офису в Казани."),
    ("ru", "Иван до пятницы выяснит с Ольгой, почему в Канаде потеряли 12 клиентов."),
    ("ru", "Поставщик просит 18 500 евро за первый этап."),
    ("pl", "Przychody wzrosły o 7% dzięki biuru w Krakowie."),
    ("pl", "Tomek z Magdą sprawdzą do piątku utratę 12 klientów w Kanadzie."),
    ("pl", "Dostawca chce 18 500 euro."),
    ("ja", "売上は7%増の420万ドルで、主に大阪オフィスによるものです。"),
    ("ja", "田中さんは金曜日までにカナダで12社を失った理由を調べます。"),
    ("ja", "佐藤さんも参加します。"),
    ("zh", "收入增长7%，达到420万美元，主要来自上海。"),
    ("zh", "小王在星期五之前查清加拿大流失12个客户的原因。"),
    ("zh", "供应商报价18500欧元，李娜参与。"),
    ("ko", "매출은 7% 증가해 420만 달러가 되었습니다."),
    ("ko", "민수는 금요일까지 캐나다에서 12개 고객사를 잃은 이유를 확인합니다."),
    ("ko", "쿠버네티스 이전 비용은 18,500유로입니다."),
    ("ar", "ارتفعت الإيرادات بنسبة 7% إلى 4 ملايين دولار بفضل مكتب دبي."),
    ("ar", "سينظر خالد مع ليلى في خسارة 12 عميلا في كندا قبل الجمعة."),
    ("it", "I ricavi sono cresciuti del 7% a 4,2 milioni di euro grazie all'ufficio di Torino."),
    ("it", "Marco verificherà con Giulia entro venerdì la perdita di 12 clienti in Canada."),
    ("it", "Il fornitore chiede 18.500 euro."),
    ("pt", "A receita subiu 7% para 4,2 milhões de euros graças ao escritório do Porto."),
    ("pt", "O Tiago vai analisar com a Inês a perda de 12 contas no Canadá até sexta-feira."),
    ("pt", "O fornecedor pede 18.500 euros."),
    ("nl", "De omzet steeg 7% tot 4,2 miljoen euro dankzij het kantoor in Utrecht."),
    ("nl", "Thomas bekijkt met Sanne voor vrijdag het verlies van 12 klanten in Canada."),
    ("nl", "De leverancier vraagt 18.500 euro."),
    ("sv", "Omsättningen ökade med 7 % till 4,2 miljoner euro tack vare kontoret i Göteborg."),
    ("sv", "Johan undersöker med Elin före fredag varför 12 kunder i Kanada förlorades."),
    ("sv", "Leverantören begär 18 500 euro."),
    ("tr", "Gelir yüzde 7 artarak 4,2 milyon avroya çıktı; bunda İzmir ofisi etkili oldu."),
    ("tr", "Mehmet, Ayşe ile birlikte cumaya kadar Kanada'daki 12 müşteri kaybını inceleyecek."),
    ("tr", "Tedarikçi 18.500 avro istiyor."),
    ("fi", "Liikevaihto kasvoi 7 % Tampereen toimiston ansiosta."),
    ("fi", "Matti selvittää Liisan kanssa perjantaihin mennessä, miksi Kanadassa menetettiin 12 asiakasta."),
    ("fi", "Toimittaja pyytää 18 500 euroa."),
    ("hi", "पुणे ऑफिस की वजह से आय 7% बढ़ी।"),
    ("hi", "राहुल शुक्रवार तक प्रिया के साथ कनाडा में 12 ग्राहक खोने का कारण देखेंगे।"),
    ("uk", "Дохід зріс на 7 % завдяки офісу у Львові."),
    ("uk", "Іван з Оленою до п'ятниці з'ясують, чому в Канаді втратили 12 клієнтів."),
    ("uk", "Постачальник просить 18 500 євро."),
    ("en", "Tom: review the churn by Friday."),
    ("de", "Ab nächster Woche kümmert sich ein neues Team um weitere Kunden und höhere Einnahmen."),
    ("de", "Die Teilnehmer lobten die gute Zusammenarbeit; offene Fragen klärt Thomas."),
    ("hu", "Egy szó nélkül."),
    ("la", "Gallia est omnis divisa."),
]

# What is made up, and what of it is found.
INVENTED = [
    ("en", "Anna will send the deck by Monday.", ("Anna", "Monday")),
    ("en", "Anna Kowalski reviews 13 accounts in Toronto.", ("Anna", "Kowalski", "13", "Toronto")),
    ("en", "Robert will call Google.", ("Robert", "Google")),
    ("en", "Anna and Robert agreed on Tuesday.", ("Anna", "Robert", "Tuesday")),
    ("en", "Robert's team objected.", ("Robert",)),
    ("en", "The budget is $19,500.", ("19,500",)),
    ("en", "Fifteen accounts were lost.", ("Fifteen",)),
    ("en", "They lost twenty-two accounts and two hundred thousand dollars.", ("twenty-two", "two hundred thousand")),
    ("en", "Owner: Robert", ("Robert",)),
    ("en", "Decision: Robert, Tom and Priya go on.", ("Robert",)),
    ("en", 'The project is called "Phoenix".', ("Phoenix",)),
    ("en", "The CFO agreed with IBM.", ("CFO", "IBM")),
    ("en", "Revenue was 4.3 million, up 8% since March.", ("4.3 million", "8", "March")),
    ("en", "Meet at 16:45.", ("16:45",)),
    ("en", "On 2026-11-15 and 05/06/2024 they meet.", ("2026-11-15", "05/06/2024")),
    ("en", "Tom sells iPads and MacBooks.", ("iPads", "MacBooks")),
    ("en", "Speaker 2 agreed with Tom.", ("Speaker 2",)),
    ("en", "Dr. Meyer and J. Smith joined.", ("Meyer", "J", "Smith")),
    ("de", "Anna Lang prüft 13 Kunden in Bayern.", ("Anna", "Lang", "13", "Bayern")),
    ("de", "Im November sprach Lena mit Siemens.", ("November", "Siemens")),
    ("de", "Das Budget beträgt 19.500 Euro, sagte Peter am Montag.", ("19.500", "Peter", "Montag")),
    ("de", "Thomas verlor dreizehn Kunden.", ("dreizehn",)),
    ("fr", "Le client appellera Airbus avec treize personnes de Toulouse.", ("Airbus", "treize", "Toulouse")),
    ("es", "Se reunirán en Madrid con Google el día 15.", ("Madrid", "Google", "15")),
    ("it", "La riunione è a Roma con quindici persone.", ("Roma", "quindici")),
    ("pt", "A reunião em Lisboa teve 20 pessoas.", ("Lisboa", "20")),
    ("nl", "Volgens Philips waren er 13 klanten in Breda.", ("Philips", "13", "Breda")),
    ("sv", "Enligt Volvo fanns 13 kunder i Malmö.", ("Volvo", "13", "Malmö")),
    ("fi", "Yhtiö Nokia menetti 13 asiakasta Turussa.", ("Nokia", "13", "Turussa")),
    ("pl", "Wczoraj Marek rozmawiał z Orlenem o 13 klientach.", ("Marek", "Orlenem", "13")),
    ("ru", "Завтра Пётр встретится с Газпромом в Москве.", ("Пётр", "Газпромом", "Москве")),
    ("uk", "Завтра Петро поїде до Одеси.", ("Петро", "Одеси")),
    ("tr", "Toplantıya Google ve Ankara ekibi 15 kişiyle katıldı.", ("Google", "Ankara", "15")),
    ("ja", "グーグルが13社と契約します。", ("グーグル", "13")),
    ("zh", "Google报价二万元，有15个客户。", ("Google", "二万", "15")),
    ("zh", "会议定于三点。", ("三",)),
    ("ko", "Google이 15개 고객사와 3만 5천 달러 계약을 했습니다.", ("Google", "15", "3만 5천")),
    ("ar", "دفعت Google مبلغ ١٥ دولارا", ("Google", "١٥")),
    ("hi", "राहुल ने Google से १५ ग्राहक लिए।", ("Google", "१५")),
]


@pytest.fixture(scope="module")
def meetings() -> dict[str, Evidence]:
    return {language: Evidence(text, language) for language, text in MEETINGS.items()}


@pytest.mark.parametrize(("language", "sentence"), FAITHFUL)
def test_nothing_is_held_against_a_faithful_sentence(
    meetings: dict[str, Evidence], language: str, sentence: str
) -> None:
    evidence = meetings.get(language) or Evidence(sentence.lower(), language)
    assert evidence.unsupported(sentence) == ()


@pytest.mark.parametrize(("language", "sentence", "found"), INVENTED)
def test_names_and_numbers_that_were_made_up_are_found(
    meetings: dict[str, Evidence], language: str, sentence: str, found: tuple[str, ...]
) -> None:
    assert meetings[language].unsupported(sentence) == found


@pytest.mark.parametrize(("language", "sentence", "found"), INVENTED)
def test_what_is_found_is_in_the_sentence_and_once(
    meetings: dict[str, Evidence], language: str, sentence: str, found: tuple[str, ...]
) -> None:
    twice = meetings[language].unsupported(f"{sentence}\n{sentence}")
    assert twice == found
    assert all(item in sentence for item in found)


def test_of_a_translation_only_numbers_and_names_with_capitals_inside_are_looked_up() -> None:
    evidence = Evidence("on friday anna flies to germany with twelve people from nasa", "en")
    sentence = "Am Freitag fliegt Anna mit zwölf Leuten der NASA nach Deutschland, mit dreizehn von ESA."
    assert evidence.unsupported(sentence, "de") == ("dreizehn", "ESA")
    assert evidence.unsupported("金曜日に12人", "ja") == ()
    assert evidence.unsupported("Anna flies on Friday", "en") == evidence.unsupported("Anna flies on Friday") == ()


# Support.


@pytest.mark.parametrize(
    ("language", "source", "sentence", "share"),
    [
        ("en", "", "", 1.0),
        ("en", "", "I am so, 12 ok!", 1.0),
        ("en", "the roof leaks", "", 1.0),
        ("en", "the roof leaks", "The roof leaked.", 1.0),
        ("en", "the roof leaks", "The roof burns.", 0.5),
        ("en", "the roof leaks", "Bananas ripen.", 0.0),
        ("de", "wir planen den haushalt", "Die Haushaltsplanung", 1.0),
        ("ru", "мы обсудили крышу дома", "Обсуждали крыши домов", 2 / 3),
        ("fi", "talo vuotaa helsingissä", "Helsingin talossa", 1.0),
        ("ko", "지붕이 새고 있습니다", "지붕에서 물이", 0.5),
        ("zh", "屋顶漏水了", "屋顶漏水", 1.0),
        ("zh", "屋顶漏水了", "屋顶着火", 1 / 3),
        ("ja", "屋根が雨漏りする", "屋根の雨漏", 1.0),
        ("th", "หลังคารั่ว", "หลังคา", 1.0),
        ("ar", "السقف يسرب الماء", "وسقف بالماء", 1.0),
        ("he", "הגג דולף מים", "בגג ובמים", 1.0),
        ("hi", "बैठक शुक्रवार को होगी", "बैठकें सोमवार को", 0.5),
    ],
)
def test_support_is_the_share_of_the_content_that_the_source_has(
    language: str, source: str, sentence: str, share: float
) -> None:
    assert Evidence(source, language).support(sentence) == pytest.approx(share)


@pytest.mark.parametrize(
    ("language", "sentence"), [(language, text) for language, text in FAITHFUL if language in MEETINGS]
)
def test_a_sentence_from_the_meeting_has_more_support_than_in_another(
    meetings: dict[str, Evidence], language: str, sentence: str
) -> None:
    elsewhere = Evidence("lorem ipsum dolor sit amet", language)
    assert meetings[language].support(sentence) >= elsewhere.support(sentence)


# Laws, over text of every kind.

FRAGMENTS = st.sampled_from(
    sorted({word for text in MEETINGS.values() for word in text.split()})
    + sorted({word for _, sentence, _ in INVENTED for word in sentence.split()})
    + [said for _, said, _ in (*SAME_NUMBERS, *SPOKEN_NUMBERS, *NUMERALS, *SAME_NAMES)]
    + [written for _, _, written in (*SAME_NUMBERS, *SPOKEN_NUMBERS, *NUMERALS, *SAME_NAMES)]
    + [
        "-",
        "'",
        ".",
        ",",
        ":",
        "%",
        "(",
        '"',
        "\u0301",
        "ß",
        "million",
        "hundred",
        "and",
        "k",
        "000",
        "ﬁ",
        "½",
        "\x00",
        "\u200b",
    ]
)
LINES = (
    st.lists(FRAGMENTS | st.text(max_size=8), max_size=12).map(" ".join)
    | st.lists(FRAGMENTS, max_size=8).map("".join)
    | st.text(max_size=60)
)
LANGUAGES = st.sampled_from([*MEETINGS, "vi", "th", "he", "el", "hu", "bg", "ka", "xx", ""])


@given(st.lists(LINES, min_size=1, max_size=5), LANGUAGES, st.data())
def test_what_the_source_says_verbatim_is_supported(lines: list[str], language: str, data: st.DataObject) -> None:
    evidence = Evidence("\n".join(lines), language)
    sentence = data.draw(st.sampled_from(lines))
    assert evidence.unsupported(sentence) == ()
    assert evidence.support(sentence) == 1.0


@given(LINES, LINES, LINES, LANGUAGES, st.sampled_from(["\n", " "]))
def test_adding_to_the_source_takes_nothing_from_it(
    source: str, more: str, sentence: str, language: str, between: str
) -> None:
    less = Evidence(source, language)
    for longer in (f"{source}{between}{more}", f"{more}{between}{source}"):
        evidence = Evidence(longer, language)
        assert set(evidence.unsupported(sentence)) <= set(less.unsupported(sentence))
        assert evidence.support(sentence) >= less.support(sentence)


@given(LINES, LINES, st.integers(10**6, 10**12), LANGUAGES, st.booleans(), st.sampled_from(["{}", "{:,}"]))
def test_a_number_that_is_put_into_a_sentence_is_always_caught(
    source: str, sentence: str, number: int, language: str, first: bool, form: str
) -> None:
    written = form.format(number)
    found = unsupported(source, f"{written} {sentence}" if first else f"{sentence} {written}", language)
    assert any(str(number) in re.sub(r"\D", "", item) for item in found)


# Without the few letters that become two words in capitals.
@given(LINES.filter(lambda text: not {"ŉ", "ẚ", "\u0345"} & set(text)), LINES, LANGUAGES)
def test_case_of_the_source_changes_nothing(source: str, sentence: str, language: str) -> None:
    evidence = Evidence(source, language)
    for cased in (source.upper(), source.lower(), source.swapcase(), source.title()):
        assert Evidence(cased, language).unsupported(sentence) == evidence.unsupported(sentence)
        assert Evidence(cased, language).support(sentence) == evidence.support(sentence)


@given(LINES, LINES, LANGUAGES, LANGUAGES)
def test_what_is_unsupported_is_cut_from_the_sentence_in_its_order(
    source: str, sentence: str, language: str, other: str
) -> None:
    found = Evidence(source, language).unsupported(sentence, other)
    assert len(set(found)) == len(found)
    places = [sentence.find(item) for item in found]
    assert -1 not in places


@given(LINES, LINES, LANGUAGES)
def test_support_is_a_share(source: str, sentence: str, language: str) -> None:
    assert 0.0 <= Evidence(source, language).support(sentence) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    "hostile",
    [
        "1" * 100_000,
        "1," * 50_000,
        "1.2.3/" * 20_000,
        "一" * 100_000,
        "3万" * 50_000,
        "일 " * 50_000,
        "일" * 100_000,
        "สิบ" * 30_000,
        "A" * 100_000,
        "u s " * 25_000,
        "Ab. " * 25_000,
        "Ab" * 50_000,
        "a\u0301\u0323" * 30_000,
        "\u0e38\u0e48" * 50_000,
        "\u0301\u0323" * 50_000,
        "twenty " * 20_000,
        "two million " * 10_000,
        "and " * 20_000,
        "12 345 " * 15_000,
        "グ" * 100_000,
        "ﷺ" * 20_000,
        "\ud800\udfff\x00\x1b[31m" * 10_000,
        "Speaker 1 " * 10_000,
        "tausend" * 15_000,
    ],
    ids=lambda text: repr(text[:8]),
)
def test_hostile_text_is_read_in_a_moment(hostile: str) -> None:
    # Whatever takes time square to the length would run into the limit of a test, a minute.
    evidence = Evidence(hostile, "de")
    assert evidence.support(hostile) == 1.0
    assert evidence.unsupported(hostile) == ()
    assert evidence.unsupported(f"{hostile} Zürich 8675309") != ()
