"""Everyday sentences, written for this project, that the speech synthesiser reads aloud.

Each is two to four seconds long when spoken. :data:`SENTENCES` holds the languages of train, dev and test, 24 sentences
each; :data:`OTHER_SENTENCES` the languages of ``test_ood``, which training never hears. Languages go by their ISO 639-1 code.
"""

from __future__ import annotations


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


ENGLISH = """
    The last train to the coast leaves at half past nine.
    Could you please close the window before the rain starts?
    My neighbour grows tomatoes on her tiny balcony.
    We waited an hour for a table by the river.
    He forgot his umbrella in the back of the taxi.
    Turn left after the bakery and walk up the hill.
    The children built a castle out of empty boxes.
    I have never seen such a bright moon in winter.
    Her new bicycle is lighter than the old one.
    There is fresh coffee in the kitchen if you want some.
    They painted the front door a very dark green.
    The library stays open until eight on Thursdays.
    A small dog was sleeping under the wooden bench.
    Please write your name at the top of the page.
    Our flight was delayed because of the thick fog.
    The soup needs a little more salt and pepper.
    She plays the violin in a village orchestra.
    Nobody noticed that the clock had stopped.
    We should buy some bread on the way home.
    The old bridge was closed for repairs last month.
    His sister works as a nurse in the next town.
    It gets quite cold here as soon as the sun sets.
    Did you remember to water the plants yesterday?
    The second half of the film was much better.
"""

GERMAN = """
    Der letzte Bus zum Bahnhof fährt um Viertel nach zehn.
    Kannst du bitte das Fenster in der Küche zumachen?
    Meine Großmutter backt jeden Sonntag einen Apfelkuchen.
    Wir haben den ganzen Nachmittag am See verbracht.
    Er hat seinen Schlüssel schon wieder im Büro vergessen.
    Gehen Sie an der Ampel geradeaus und dann rechts.
    Die Kinder spielen draußen, obwohl es regnet.
    Im Herbst werden die Blätter gelb und rot.
    Das neue Fahrrad steht seit gestern im Keller.
    Auf dem Markt gibt es heute frische Erdbeeren.
    Sie liest abends gern ein paar Seiten vor dem Einschlafen.
    Der Arzt hat mir eine Woche Ruhe verordnet.
    Unter dem alten Baum steht eine grüne Bank.
    Schreiben Sie bitte Ihren Namen auf das Blatt.
    Wegen des Nebels landete das Flugzeug später.
    In der Suppe fehlt noch ein bisschen Salz.
    Ihr Bruder spielt Trompete in einer kleinen Kapelle.
    Niemand hat bemerkt, dass die Uhr stehen geblieben ist.
    Auf dem Heimweg müssen wir noch Brot kaufen.
    Die Brücke über den Fluss wird gerade erneuert.
    Morgen früh soll es kälter werden als heute.
    Hast du gestern die Blumen auf dem Balkon gegossen?
    Der Film war am Ende spannender als am Anfang.
    Wir treffen uns um sechs vor dem Theater.
"""

FRENCH = """
    Le dernier train pour la côte part à neuf heures et demie.
    Peux-tu fermer la fenêtre avant qu'il ne pleuve ?
    Ma voisine fait pousser des tomates sur son balcon.
    Nous avons attendu une heure devant le restaurant.
    Il a oublié son parapluie dans le taxi.
    Tournez à gauche après la boulangerie.
    Les enfants ont construit une cabane dans le jardin.
    Je n'ai jamais vu une lune aussi claire en hiver.
    Son nouveau vélo est plus léger que l'ancien.
    Il reste du café chaud dans la cuisine.
    Ils ont repeint la porte d'entrée en vert foncé.
    La bibliothèque ferme à huit heures le jeudi.
    Un petit chien dormait sous le banc du parc.
    Écrivez votre nom en haut de la feuille.
    Notre avion a pris du retard à cause du brouillard.
    Il manque un peu de sel dans cette soupe.
    Sa sœur joue du violon depuis dix ans.
    Personne n'a remarqué que l'horloge était arrêtée.
    Il faut acheter du pain en rentrant à la maison.
    Le vieux pont est fermé pour travaux cette semaine.
    Demain matin il fera plus froid qu'aujourd'hui.
    As-tu pensé à arroser les plantes hier soir ?
    La fin du film m'a beaucoup plu.
    On se retrouve à six heures devant le théâtre.
"""

SPANISH = """
    El último tren a la costa sale a las nueve y media.
    ¿Puedes cerrar la ventana antes de que llueva?
    Mi vecina cultiva tomates en su balcón.
    Esperamos una hora para conseguir una mesa junto al río.
    Olvidó su paraguas en el asiento del taxi.
    Gire a la izquierda después de la panadería.
    Los niños hicieron un castillo con cajas vacías.
    Nunca he visto una luna tan clara en invierno.
    Su bicicleta nueva pesa menos que la vieja.
    Queda café caliente en la cocina.
    Pintaron la puerta de la calle de verde oscuro.
    La biblioteca abre hasta las ocho los jueves.
    Un perro pequeño dormía debajo del banco.
    Escriba su nombre en la parte de arriba de la hoja.
    El vuelo se retrasó por culpa de la niebla.
    A la sopa le falta un poco de sal.
    Su hermana toca el violín en una orquesta.
    Nadie notó que el reloj se había parado.
    Tenemos que comprar pan camino de casa.
    El puente viejo está cerrado por obras.
    Mañana hará más frío que hoy por la mañana.
    ¿Te acordaste de regar las plantas ayer?
    El final de la película me gustó mucho.
    Nos vemos a las seis delante del teatro.
"""

ITALIAN = """
    L'ultimo treno per il mare parte alle nove e mezza.
    Puoi chiudere la finestra prima che piova?
    La mia vicina coltiva i pomodori sul balcone.
    Abbiamo aspettato un'ora per un tavolo vicino al fiume.
    Ha dimenticato l'ombrello sul sedile del taxi.
    Giri a sinistra dopo il panificio e salga la collina.
    I bambini hanno costruito una capanna in giardino.
    Non ho mai visto una luna così chiara d'inverno.
    La sua nuova bicicletta è più leggera di quella vecchia.
    In cucina c'è ancora del caffè caldo.
    Hanno dipinto la porta di casa di verde scuro.
    La biblioteca resta aperta fino alle otto.
    Un cane piccolo dormiva sotto la panchina.
    Scriva il suo nome in alto sul foglio.
    Il nostro volo è in ritardo per la nebbia.
    Nella minestra manca un po' di sale.
    Sua sorella suona il violino da dieci anni.
    Nessuno si è accorto che l'orologio era fermo.
    Dobbiamo comprare il pane tornando a casa.
    Il vecchio ponte è chiuso per lavori.
    Domani mattina farà più freddo di oggi.
    Ti sei ricordato di annaffiare le piante ieri?
    Il finale del film mi è piaciuto molto.
    Ci vediamo alle sei davanti al teatro.
"""

PORTUGUESE = """
    O último trem para a praia sai às nove e meia.
    Você pode fechar a janela antes que chova?
    Minha vizinha planta tomates na varanda.
    Esperamos uma hora por uma mesa perto do rio.
    Ele esqueceu o guarda-chuva no banco do táxi.
    Vire à esquerda depois da padaria.
    As crianças fizeram um castelo com caixas vazias.
    Nunca vi uma lua tão clara no inverno.
    A bicicleta nova dela é mais leve que a antiga.
    Ainda tem café quente na cozinha.
    Eles pintaram a porta da frente de verde escuro.
    A biblioteca fica aberta até as oito na quinta-feira.
    Um cachorro pequeno dormia debaixo do banco.
    Escreva o seu nome no alto da folha.
    O nosso voo atrasou por causa da neblina.
    Falta um pouco de sal nesta sopa.
    A irmã dele toca violino numa orquestra.
    Ninguém percebeu que o relógio tinha parado.
    Precisamos comprar pão no caminho de casa.
    A ponte velha está fechada para obras.
    Amanhã cedo vai fazer mais frio do que hoje.
    Você se lembrou de regar as plantas ontem?
    Gostei muito do final do filme.
    A gente se encontra às seis em frente ao teatro.
"""

DUTCH = """
    De laatste trein naar de kust vertrekt om half tien.
    Kun je het raam dichtdoen voordat het gaat regenen?
    Mijn buurvrouw kweekt tomaten op haar balkon.
    We hebben een uur op een tafel aan het water gewacht.
    Hij heeft zijn paraplu in de taxi laten liggen.
    Ga na de bakker linksaf en loop de heuvel op.
    De kinderen bouwden een hut van lege dozen.
    Ik heb in de winter nog nooit zo'n heldere maan gezien.
    Haar nieuwe fiets is lichter dan de oude.
    Er staat nog warme koffie in de keuken.
    Ze hebben de voordeur donkergroen geverfd.
    De bibliotheek is op donderdag tot acht uur open.
    Onder de houten bank lag een kleine hond te slapen.
    Schrijf je naam boven aan het blad.
    Onze vlucht had vertraging door de dichte mist.
    Er moet nog wat zout in de soep.
    Zijn zus speelt viool in een orkest.
    Niemand zag dat de klok stil was blijven staan.
    We moeten op weg naar huis nog brood kopen.
    De oude brug is dicht vanwege werkzaamheden.
    Morgenochtend wordt het kouder dan vandaag.
    Heb je gisteren de planten water gegeven?
    Het einde van de film vond ik heel mooi.
    We zien elkaar om zes uur voor het theater.
"""

POLISH = """
    Ostatni pociąg nad morze odjeżdża o wpół do dziesiątej.
    Czy możesz zamknąć okno, zanim zacznie padać?
    Moja sąsiadka uprawia pomidory na balkonie.
    Czekaliśmy godzinę na stolik nad rzeką.
    Zostawił swój parasol na tylnym siedzeniu taksówki.
    Proszę skręcić w lewo za piekarnią.
    Dzieci zbudowały zamek z pustych pudełek.
    Nigdy nie widziałem zimą tak jasnego księżyca.
    Jej nowy rower jest lżejszy od starego.
    W kuchni jest jeszcze gorąca kawa.
    Pomalowali drzwi wejściowe na ciemnozielono.
    Biblioteka jest otwarta w czwartki do ósmej.
    Mały pies spał pod drewnianą ławką.
    Proszę napisać swoje nazwisko na górze strony.
    Nasz samolot spóźnił się z powodu mgły.
    W tej zupie brakuje trochę soli.
    Jego siostra gra na skrzypcach w orkiestrze.
    Nikt nie zauważył, że zegar się zatrzymał.
    Po drodze do domu musimy kupić chleb.
    Stary most jest zamknięty z powodu remontu.
    Jutro rano będzie zimniej niż dzisiaj.
    Czy pamiętałaś wczoraj o podlaniu kwiatów?
    Zakończenie filmu bardzo mi się podobało.
    Spotkamy się o szóstej przed teatrem.
"""

SWEDISH = """
    Det sista tåget till kusten går klockan halv tio.
    Kan du stänga fönstret innan det börjar regna?
    Min granne odlar tomater på sin lilla balkong.
    Vi väntade en timme på ett bord vid vattnet.
    Han glömde sitt paraply i taxin.
    Sväng vänster efter bageriet och gå uppför backen.
    Barnen byggde en koja av tomma lådor.
    Jag har aldrig sett en så klar måne på vintern.
    Hennes nya cykel är lättare än den gamla.
    Det finns varmt kaffe kvar i köket.
    De har målat ytterdörren mörkgrön.
    Biblioteket har öppet till åtta på torsdagar.
    En liten hund låg och sov under bänken.
    Skriv ditt namn längst upp på sidan.
    Vårt flyg blev försenat på grund av dimman.
    Det behövs lite mer salt i soppan.
    Hans syster spelar fiol i en orkester.
    Ingen märkte att klockan hade stannat.
    Vi måste köpa bröd på vägen hem.
    Den gamla bron är stängd för reparation.
    I morgon bitti blir det kallare än i dag.
    Kom du ihåg att vattna blommorna i går?
    Jag tyckte mycket om slutet på filmen.
    Vi ses klockan sex utanför teatern.
"""

RUSSIAN = """
    Последний поезд к морю уходит в половине десятого.
    Закрой, пожалуйста, окно, пока не начался дождь.
    Моя соседка выращивает помидоры на балконе.
    Мы целый час ждали столик у реки.
    Он забыл свой зонт на заднем сиденье такси.
    Поверните налево сразу после булочной.
    Дети построили замок из пустых коробок.
    Я никогда не видел зимой такой яркой луны.
    Её новый велосипед легче старого.
    На кухне ещё остался горячий кофе.
    Они покрасили входную дверь в тёмно-зелёный цвет.
    По четвергам библиотека открыта до восьми.
    Маленькая собака спала под деревянной скамейкой.
    Напишите своё имя в верхней части страницы.
    Наш рейс задержали из-за густого тумана.
    В этом супе не хватает немного соли.
    Его сестра играет на скрипке в оркестре.
    Никто не заметил, что часы остановились.
    По дороге домой нам нужно купить хлеба.
    Старый мост закрыт на ремонт.
    Завтра утром будет холоднее, чем сегодня.
    Ты не забыла вчера полить цветы?
    Мне очень понравился конец фильма.
    Встретимся в шесть часов у театра.
"""

CZECH = """
    Poslední vlak k moři odjíždí v půl desáté.
    Můžeš prosím zavřít okno, než začne pršet?
    Moje sousedka pěstuje na balkoně rajčata.
    Čekali jsme hodinu na stůl u řeky.
    Zapomněl deštník na zadním sedadle taxíku.
    Za pekárnou zahněte doleva a jděte do kopce.
    Děti postavily hrad z prázdných krabic.
    V kuchyni je ještě teplá káva.
    Pod dřevěnou lavičkou spal malý pes.
    Nikdo si nevšiml, že se hodiny zastavily.
    Cestou domů musíme koupit chleba.
    Sejdeme se v šest hodin před divadlem.
"""

FINNISH = """
    Viimeinen juna rannikolle lähtee puoli kymmeneltä.
    Voisitko sulkea ikkunan ennen kuin alkaa sataa?
    Naapurini kasvattaa tomaatteja parvekkeella.
    Odotimme tunnin pöytää joen rannalta.
    Hän unohti sateenvarjonsa taksin takapenkille.
    Käänny leipomon jälkeen vasemmalle.
    Lapset rakensivat linnan tyhjistä laatikoista.
    Keittiössä on vielä lämmintä kahvia.
    Pieni koira nukkui puisen penkin alla.
    Kukaan ei huomannut, että kello oli pysähtynyt.
    Meidän pitää ostaa leipää kotimatkalla.
    Tavataan kello kuusi teatterin edessä.
"""

TURKISH = """
    Sahile giden son tren dokuz buçukta kalkıyor.
    Yağmur başlamadan pencereyi kapatır mısın?
    Komşum küçük balkonunda domates yetiştiriyor.
    Nehir kenarındaki masa için bir saat bekledik.
    Şemsiyesini taksinin arka koltuğunda unuttu.
    Fırından sonra sola dönüp yokuşu çıkın.
    Çocuklar boş kutulardan bir kale yaptılar.
    Mutfakta hâlâ biraz sıcak kahve var.
    Küçük bir köpek tahta bankın altında uyuyordu.
    Saatin durduğunu hiç kimse fark etmedi.
    Eve giderken ekmek almamız gerekiyor.
    Saat altıda tiyatronun önünde buluşalım.
"""

INDONESIAN = """
    Kereta terakhir ke pantai berangkat pukul setengah sepuluh.
    Tolong tutup jendela sebelum hujan turun.
    Tetangga saya menanam tomat di balkon kecilnya.
    Kami menunggu meja di tepi sungai selama satu jam.
    Dia lupa membawa payungnya dari dalam taksi.
    Belok kiri setelah toko roti, lalu naik ke bukit.
    Anak-anak membuat istana dari kotak kosong.
    Masih ada kopi hangat di dapur.
    Seekor anjing kecil tidur di bawah bangku kayu.
    Tidak ada yang tahu bahwa jam itu sudah berhenti.
    Kita harus membeli roti dalam perjalanan pulang.
    Kita bertemu pukul enam di depan gedung teater.
"""

SENTENCES: dict[str, tuple[str, ...]] = {
    "en": _lines(ENGLISH),
    "de": _lines(GERMAN),
    "fr": _lines(FRENCH),
    "es": _lines(SPANISH),
    "it": _lines(ITALIAN),
    "pt": _lines(PORTUGUESE),
    "nl": _lines(DUTCH),
    "pl": _lines(POLISH),
    "sv": _lines(SWEDISH),
    "ru": _lines(RUSSIAN),
}

OTHER_SENTENCES: dict[str, tuple[str, ...]] = {
    "cs": _lines(CZECH),
    "fi": _lines(FINNISH),
    "tr": _lines(TURKISH),
    "id": _lines(INDONESIAN),
}
