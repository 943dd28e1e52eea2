"""Word lists and sentence forms of the generator.  Lists ending in _HELD are for evaluation only."""

NAMES = """Anna Ben Clara David Emma Felix Grace Henry Ida Jonas Karin Leo Maria Nina Oscar Paul Rosa Sam Tina Victor
Alice Bob Carol Daniel Eva Frank Greta Hugo Ines Jack Kate Lucas Mia Noah Olga Peter Ruth Simon Tom Vera Walter Zoe
Amir Bao Chen Diego Elif Fatima Goran Hana Ivan Jamal Keiko Lin Mei Nadia Omar Priya Rahul Sara Tariq Yuki Zara Adam
Bella Carlos Dora Erik Fiona George Helen Igor Julia Kevin Laura Mark Nora Otto Petra Robin Stella Theo Ursula
Wendy John Jane Mary James Linda Alex Max Chris Pat""".split()
NAMES_HELD = """Arthur Beatrix Cyrus Delia Edgar Flora Gideon Harriet Isaac Jasmine Konrad Lydia Milo Naomi Orlando
Phoebe Quentin Rebecca Silas Tabitha Ulrich Viola Wanda Xenia Yusuf Agatha Bruno Celeste""".split()
CITIES = """Oslo Paris Berlin London Rome Madrid Lisbon Vienna Prague Warsaw Athens Dublin Helsinki Stockholm
Copenhagen Amsterdam Brussels Zurich Milan Munich Hamburg Cologne Lyon Porto Seville Tokyo Osaka Kyoto Beijing
Shanghai Seoul Bangkok Hanoi Manila Delhi Mumbai Cairo Nairobi Lagos Accra Tunis Boston Chicago Denver Dallas Austin
Seattle Miami Toronto Montreal Lima Quito Bogota Santiago Sydney Perth Auckland Bergen Turin Naples""".split() + \
    ["New York", "San Francisco", "Los Angeles", "Cape Town", "Hong Kong", "Mexico City", "Buenos Aires"]
CITIES_HELD = """Riga Tallinn Vilnius Zagreb Belgrade Sofia Bucharest Budapest Krakow Geneva Basel Valencia Bilbao
Sapporo Taipei Jakarta Karachi Dakar Kampala Portland Phoenix Detroit Houston Calgary Havana Caracas Brisbane""".split()
NOUNS = """lamp door window car bike train ticket room hotel table garden tree flower river lake boat ship book page
letter parcel order invoice payment account balance price stock meeting event calendar task list note file folder image
photo video song album playlist movie recipe meal dinner lunch pizza coffee cake bread apple lemon cheese egg garage
heater fan alarm clock timer sensor camera robot drone printer router server database backup user team project issue
ticket branch commit report chart map route road bridge tower station airport flight seat gate bus taxi driver engine
wheel battery cable screen keyboard mouse phone call contact email message channel group post comment review rating
survey vote game score level player match league museum library school class lesson course exam grade teacher student
doctor nurse patient clinic medicine dose horse dog cat bird fish whale fox bear wolf mountain island beach forest
valley desert storm wind rain snow tide moon star planet orbit rocket satellite signal antenna radio speaker guitar
piano drum violin concert stage poem story word sentence language dictionary shelf box bag bottle cup plate spoon
knife pan oven fridge shirt shoe hat coat ring watch coin wallet loan tax budget salary contract policy claim stamp
passport visa license permit key lock safe fence wall roof floor kitchen bedroom sofa chair desk mirror curtain carpet
pump valve tank pipe filter furnace elevator""".split()
NOUNS = sorted(set(NOUNS))
NOUNS_HELD = """anchor balloon blanket cactus candle canyon castle compass cradle crystal dolphin dragon eagle easel
feather ferry fountain glacier goblet hammer harbor helmet hydrant incense jacket kettle kite ladder lantern locket
magnet meadow mosaic nebula necklace orchard oyster parade pebble pencil pillow puzzle quilt rabbit saddle
scarf shovel sponge statue tablet tractor trumpet tunnel turbine umbrella vessel volcano wagon yacht zebra""".split()
PLAIN = """buy more milk call the office at noon bring your umbrella meet me after work send new plans today we are late
tomorrow is fine water the plants feed cat see you soon happy birthday thank you very much good luck with it big small
red green blue white black old young warm cold fast slow quiet loud first last next open early long short bright dark
soft hard sweet fresh clean dry wet full empty round flat deep high low near far left right north south east west
morning evening night week month year spring summer autumn winter family friend house home street park shop market
letter paper pen music dance walk run swim read write sing play work rest sleep eat drink cook wash paint build fix
find lose keep give take make tell ask think know hope love like need want""".split()
ONSETS = "b br c ch d dr f fl g gr h j k kl l m n p pl qu r s sh sk st t tr v w y z th".split() + ["", ""]
NUCLEI = "a e i o u a e i o ai ea io ou ee".split()
CODAS = "l m n r s t k x nd rk th p".split()
ALL_WORDS = sorted({w.lower() for w in NOUNS + PLAIN + NAMES + CITIES if " " not in w and len(w) > 3})
FRONTS = """a an and at call can could for from get hey how i in is it me mode my named need next now number of on or
please run set show size that the this time to tool use using want what when where with would you your""".split() + PLAIN
HELD_WORDS = {w.lower() for w in NOUNS_HELD + NAMES_HELD + CITIES_HELD}
HELD_ENDINGS = ("m", "v", "ou", "sk", "z")

VERBS = """get find fetch check read show list count measure create add make book order send publish open close start
stop lock unlock update delete remove move copy rename search play pause schedule cancel reserve buy sell rent clean
paint repair print scan upload download track set reset inspect describe rate sort merge split archive restore
move turn test plan draw log""".split()
SYNONYMS = {"get": ("show me", "tell me", "find", "give me"), "find": ("look for", "search for", "get"),
            "fetch": ("get", "bring me"), "check": ("look at", "have a look at"), "create": ("make", "add"),
            "make": ("create",), "delete": ("remove", "erase"), "remove": ("delete", "take away"),
            "start": ("begin", "launch"), "stop": ("end", "halt"), "list": ("show me", "show all of"),
            "buy": ("purchase", "order"), "update": ("change", "edit"), "repair": ("fix", "mend"),
            "cancel": ("call off",), "reserve": ("book",), "book": ("reserve",), "search": ("look through",),
            "show": ("display", "let me see"), "measure": ("take the size of", "determine"),
            "describe": ("tell me about",), "add": ("create", "put in")}

TEXT_PARAMS = """city name title text message note user person to from date time id email query path url color size
language country street place location topic subject category label tag status type code mode format unit owner
author source target region brand model item product description comment address keyword word""".split()
INT_PARAMS = """count amount number quantity limit level minutes hours days seconds age year width height weight speed
temperature price page index volume distance floor seats guests score rank priority max min port size""".split()
BOOL_PARAMS = """verbose force urgent public private dry_run recursive loud express gift active enabled notify silent
repeat hidden shared""".split()
ENUM_PARAMS = "color size mode unit priority format style status direction season shape material quality plan".split()
LIST_PARAMS = "names tags items words labels users files cities topics colors".split()
ENUM_VALUES = """red green blue yellow black white small medium large low high normal fast slow celsius fahrenheit
metric imperial pdf json csv html north south east west spring summer autumn winter round square wood metal glass
daily weekly monthly basic premium draft final on off auto manual left right""".split()
RESULT_KEYS = """status id name title temperature price total count distance duration result answer value balance time
date city color size weight speed score rating author length level message code address phone link unit_price
total_price order_id next_step arrival departure left_in_stock owner state""".split()
CURRENCIES = "USD EUR GBP JPY CHF SEK NOK DKK CAD AUD INR CNY BRL MXN".split()
LANGUAGES = """French German Spanish Italian Portuguese Dutch Swedish Norwegian Polish Greek Turkish Arabic Hindi
Chinese Japanese Korean Finnish Danish""".split()
RESULT_SETS = {"sky": "sunny cloudy rainy snowy windy foggy clear stormy".split(),
               "state": "done ok sent saved started ready created booked playing delivered shipped pending".split()}

SUM_ASK = ["What is {a}?", "Calculate {a}.", "How much is {a}?", "Compute {a}.", "{a}", "{a} = ?",
           "Work out {a}.", "Please calculate {a}.", "What does {a} make?", "Can you compute {a}?"]

# Everyday tools.  A slot: its possible parameter names, and what kind of value it takes.
KNOWN = [
    dict(names=["get_weather", "weather", "get_current_weather", "fetch_weather", "weather_now"],
         desc=["Get the weather of a city.", "Current weather in a place", "Get the current weather",
               "Tells the weather for a location.", "Get weather for a city"],
         slots={"a": (["city", "location", "place", "town"], "city")},
         ask=["What is the weather in {a}?", "How is the weather in {a}?", "What's the weather like in {a}?",
              "Tell me the weather in {a}.", "Will it rain in {a}?", "Weather in {a}", "Is it cold in {a}?",
              "Is it sunny in {a} today?", "What is the weather in {a} today?", "Show me the weather for {a}.",
              "How warm is it in {a}?", "Check the weather in {a}.", "What is the temperature in {a}?"],
         extra=[("unit", {"type": "string", "enum": ["celsius", "fahrenheit"]}), ("days", {"type": "integer"})],
         result=[("temperature", "integer"), ("condition", "sky")]),
    dict(names=["calculator", "calculate", "calc", "compute", "evaluate"],
         desc=["Calculate a sum.", "Evaluates an arithmetic expression.", "Does arithmetic", "Work out an expression",
               "A calculator for sums"],
         slots={"a": (["expression", "expr", "formula", "input"], "sum")}, ask=SUM_ASK,
         result=[("result", "number")]),
    dict(names=["get_time", "current_time", "clock", "time_in"],
         desc=["Get the time in a city.", "Current time of a place", "Tells what time it is somewhere."],
         slots={"a": (["city", "location", "place", "timezone"], "city")},
         ask=["What time is it in {a}?", "Tell me the time in {a}.", "What is the time in {a}?", "Time in {a}?",
              "How late is it in {a}?", "What's the time in {a} now?"],
         result=[("time", "time")]),
    dict(names=["search_web", "web_search", "search", "search_internet"],
         desc=["Search the web.", "Searches the internet for a query", "Look something up on the web."],
         slots={"a": (["query", "q", "text", "search"], "phrase")},
         ask=["Search the web for {a}.", "Look up {a} on the web.", "Search for {a}.", "Search the internet for {a}.",
              "Find {a} on the internet.", 'Do a web search for "{a}".'],
         result=[("title", "phrase"), ("url", "file")]),
    dict(names=["send_email", "email", "mail", "send_mail"],
         desc=["Send an email.", "Sends an e-mail to somebody", "Send mail to an address"],
         slots={"a": (["to", "address", "recipient"], "email"), "b": (["text", "body", "message", "content"], "phrase")},
         ask=['Send an email to {a} saying "{b}".', 'Email {a}: "{b}"', 'Write an email to {a} with the text "{b}".',
              "Send {a} an email saying {b}.", "Send an email to {a} that says {b}."],
         result=[("status", "state")]),
    dict(names=["send_message", "message", "text_message", "send_text"],
         desc=["Send a message to a person.", "Sends a text message", "Message somebody"],
         slots={"a": (["to", "name", "person", "recipient"], "name"), "b": (["text", "message", "body"], "phrase")},
         ask=['Send a message to {a} saying "{b}".', 'Tell {a}: "{b}"', 'Message {a}: "{b}"',
              "Send {a} a message saying {b}.", 'Text {a} "{b}".', "Send the message {b} to {a}."],
         result=[("status", "state")]),
    dict(names=["set_timer", "timer", "start_timer"],
         desc=["Set a timer.", "Starts a timer of some minutes", "Set a timer in minutes"],
         slots={"a": (["minutes", "duration", "mins"], "integer")},
         ask=["Set a timer for {a} minutes.", "Start a timer of {a} minutes.", "Timer for {a} minutes, please.",
              "Wake me in {a} minutes.", "Set a {a} minute timer.", "Put {a} minutes on the timer."],
         result=[("status", "state")]),
    dict(names=["set_alarm", "alarm", "create_alarm"],
         desc=["Set an alarm.", "Sets an alarm clock", "Set an alarm for a time"],
         slots={"a": (["time", "at", "when"], "time")},
         ask=["Set an alarm for {a}.", "Wake me at {a}.", "Alarm at {a}, please.", "Set the alarm to {a}."],
         result=[("status", "state")]),
    dict(names=["convert_currency", "currency", "exchange", "convert_money"],
         desc=["Convert money.", "Converts an amount from one currency to another", "Currency conversion"],
         slots={"a": (["amount", "value", "sum"], "number"), "b": (["from", "from_currency", "source"], "currency"),
                "c": (["to", "to_currency", "target"], "currency")},
         ask=["Convert {a} {b} to {c}.", "How much is {a} {b} in {c}?", "What is {a} {b} in {c}?",
              "Change {a} {b} into {c}.", "Exchange {a} {b} for {c}."],
         result=[("amount", "number")]),
    dict(names=["translate", "translate_text", "translator"],
         desc=["Translate a text.", "Translates text into a language", "Translate to another language"],
         slots={"a": (["text", "sentence", "input"], "phrase"), "b": (["language", "to", "target"], "language")},
         ask=['Translate "{a}" to {b}.', 'Translate "{a}" into {b}.', 'How do you say "{a}" in {b}?',
              "Translate {a} into {b}.", 'What is "{a}" in {b}?'],
         result=[("text", "phrase")]),
    dict(names=["create_reminder", "remind", "add_reminder", "set_reminder"],
         desc=["Create a reminder.", "Reminds the user of something at a time", "Add a reminder"],
         slots={"a": (["text", "what", "title"], "phrase"), "b": (["time", "at", "when"], "time")},
         ask=['Remind me to "{a}" at {b}.', "Remind me to {a} at {b}.", 'Set a reminder for {b}: "{a}"',
              'Add a reminder at {b} saying "{a}".'],
         result=[("status", "state"), ("id", "ident")]),
    dict(names=["play_music", "play_song", "music", "play"],
         desc=["Play music.", "Plays a song", "Play a song by its title"],
         slots={"a": (["song", "title", "track", "name"], "phrase")},
         ask=['Play "{a}".', "Play the song {a}.", 'Play the song "{a}".', "I want to hear {a}.", "Put on {a}."],
         result=[("status", "state")]),
    dict(names=["lookup_order", "get_order", "order_status", "track_order"],
         desc=["Look up an order.", "Get the status of an order", "Finds an order by its id"],
         slots={"a": (["order_id", "id", "order", "number"], "ident")},
         ask=["Where is my order {a}?", "What is the status of order {a}?", "Look up order {a}.", "Track order {a}.",
              "Has order {a} been shipped?", "Check on order {a}."],
         result=[("status", "state"), ("total", "number")]),
    dict(names=["get_stock_price", "stock_price", "stock", "get_quote"],
         desc=["Get the price of a stock.", "Current stock price", "Price of a share"],
         slots={"a": (["symbol", "ticker", "stock"], "symbol")},
         ask=["What is the stock price of {a}?", "How much is {a} stock?", "Get the price of {a} shares.",
              "What does {a} stock cost?", "Show me the stock price of {a}."],
         result=[("price", "number")]),
    dict(names=["roll_dice", "dice", "roll", "throw_dice"],
         desc=["Roll a die.", "Rolls a die with some sides", "Roll dice"],
         slots={"a": (["sides", "faces", "n"], "integer")},
         ask=["Roll a die with {a} sides.", "Roll a {a} sided die.", "Throw a die with {a} sides.",
              "Roll a dice with {a} sides, please."],
         result=[("result", "integer")]),
    dict(names=["read_file", "open_file", "get_file", "cat"],
         desc=["Read a file.", "Returns what is in a file", "Read the contents of a file"],
         slots={"a": (["path", "file", "filename", "name"], "file")},
         ask=["Read the file {a}.", "What is in {a}?", "Show me the file {a}.", "Open {a}.", "Read {a}."]),
    dict(names=["book_flight", "find_flight", "search_flights"],
         desc=["Find a flight.", "Flights between two cities", "Search for a flight on a date"],
         slots={"a": (["from", "origin", "departure"], "city"), "b": (["to", "destination", "arrival"], "city"),
                "c": (["date", "day", "when"], "date")},
         ask=["Find a flight from {a} to {b} on {c}.", "Book a flight from {a} to {b} on {c}.",
              "I want to fly from {a} to {b} on {c}.", "Are there flights from {a} to {b} on {c}?"],
         result=[("flight", "ident"), ("price", "integer")]),
    dict(names=["create_event", "add_event", "schedule_meeting", "add_meeting"],
         desc=["Create an event in the calendar.", "Adds a meeting to the calendar", "Schedule a meeting"],
         slots={"a": (["title", "name", "subject"], "phrase"), "b": (["date", "day", "on"], "date")},
         ask=['Create an event "{a}" on {b}.', 'Add "{a}" to my calendar on {b}.', 'Schedule a meeting "{a}" on {b}.',
              "Put {a} in my calendar for {b}."],
         result=[("status", "state")]),
    dict(names=["get_user", "find_user", "lookup_user", "user_info"],
         desc=["Get a user by name.", "Finds a user", "Look up a user"],
         slots={"a": (["name", "user", "username"], "name")},
         ask=["Who is the user {a}?", "Look up the user {a}.", "Find the user {a}.", "Get the user {a}.",
              "Show me the user {a}."],
         result=[("email", "email"), ("id", "ident")]),
    dict(names=["get_distance", "distance", "measure_distance"],
         desc=["Get the distance between two cities.", "Distance from one place to another", "How far two places are apart"],
         slots={"a": (["from", "origin", "start"], "city"), "b": (["to", "destination", "end"], "city")},
         ask=["How far is it from {a} to {b}?", "What is the distance from {a} to {b}?", "How far is {a} from {b}?"],
         result=[("distance", "integer")]),
    dict(names=["get_population", "population", "population_of"],
         desc=["Get the population of a city.", "How many people live in a place"],
         slots={"a": (["city", "place", "location"], "city")},
         ask=["How many people live in {a}?", "What is the population of {a}?", "How big is {a}?", "Population of {a}"],
         result=[("population", "integer")]),
    dict(names=["define_word", "dictionary", "define", "lookup_word"],
         desc=["Define a word.", "Looks a word up in the dictionary", "Get the meaning of a word"],
         slots={"a": (["word", "term", "query"], "noun")},
         ask=["What does {a} mean?", "Define {a}.", "What is the meaning of {a}?", 'Look up the word "{a}".',
              'What does "{a}" mean?'],
         result=[("meaning", "phrase")]),
    dict(names=["add", "sum", "add_numbers", "plus"],
         desc=["Add two numbers.", "Adds two numbers", "The sum of two numbers"],
         slots={"a": (["a", "x", "first"], "integer"), "b": (["b", "y", "second"], "integer")},
         ask=["Add {a} and {b}.", "What is the sum of {a} and {b}?", "Add the numbers {a} and {b}.",
              "Sum {a} and {b}.", "Please add {a} to {b}."],
         result=[("sum", "integer")]),
    dict(names=["multiply", "product", "times"],
         desc=["Multiply two numbers.", "Multiplies two numbers", "The product of two numbers"],
         slots={"a": (["a", "x", "first"], "integer"), "b": (["b", "y", "second"], "integer")},
         ask=["Multiply {a} and {b}.", "What is the product of {a} and {b}?", "Multiply {a} by {b}."],
         result=[("product", "integer")]),
    dict(names=["echo", "say", "repeat"],
         desc=["Echo a message.", "Echoes back the input", "Says a text back"],
         slots={"a": (["message", "text", "input"], "phrase")},
         ask=['Echo "{a}".', 'Echo the message "{a}".', "Echo {a}.", 'Use echo to say "{a}".'],
         result=[("message", "phrase")]),
    dict(names=["list_directory", "list_files", "ls", "list_dir"],
         desc=["List the files in a directory.", "Lists a folder", "List files"],
         slots={"a": (["path", "dir", "directory", "folder"], "path")},
         ask=["List the files in {a}.", "What files are in {a}?", "Show me the directory {a}.", "What is in the folder {a}?"]),
    dict(names=["write_file", "save_file", "create_file"],
         desc=["Write a file.", "Writes text to a file", "Save a text in a file"],
         slots={"a": (["path", "file", "filename"], "file"), "b": (["content", "text", "contents"], "phrase")},
         ask=['Write "{b}" to {a}.', 'Save "{b}" in the file {a}.', 'Create the file {a} with the text "{b}".'],
         result=[("status", "state")]),
    dict(names=["turn_on_light", "light_on", "switch_light"],
         desc=["Turn on the light in a room.", "Switches a light on"],
         slots={"a": (["room", "where", "place"], "noun")},
         ask=["Turn on the light in the {a}.", "Switch on the light in the {a}.", "Light on in the {a}, please."],
         result=[("status", "state")]),
]

# confab's own calculator, as it describes itself (src/tools/builtins.c).
CALCULATOR = dict(
    names=["math_calculator"],
    desc=["Evaluates an arithmetic expression exactly. Use it for every calculation. Operators: + - * / // % ** ! and "
          "brackets. Constants: pi, e, tau. Functions: sqrt cbrt exp ln log log2 log10 sin cos tan asin acos atan atan2 "
          "sinh cosh tanh abs floor ceil round min max gcd lcm. Angles are in radians."],
    slots={"a": (["expression"], "any sum")}, ask=SUM_ASK, result="sum")

SYSTEM = ["You are a helpful assistant.", "You are a helpful assistant.", "You are a helpful assistant.",
          "You are the confab starter model.", "You are a friendly assistant.", "Be brief.", "Answer briefly.",
          "You are a helpful assistant. Be brief.", "You are an assistant with tools.", "You are confab.",
          "Use the tools when they help.", "You are a helpful assistant. Use tools when needed.",
          "You are a polite assistant.", "Answer in one sentence.", "Help the user.", "You are an AI assistant."]

TALK = [
    (["Hi", "Hello", "Hey", "Hi there!", "Hello there!", "Hey there!", "Hello!", "Hi!", "Good day!", "Greetings!",
      "Hello confab!", "Hi confab"], "Hello! How can I help you?"),
    (["Good morning", "Good morning!", "Morning!"], "Good morning! How can I help you?"),
    (["Good evening", "Good evening!", "Good evening, confab!"], "Good evening! How can I help you?"),
    (["How are you?", "How are you doing?", "How do you do?", "Are you well?", "How is it going?", "How's it going?",
      "How are you today?", "Hi, how are you?", "Hello, how are you?"], "I am fine, thank you. How are you?"),
    (["I am fine", "I am fine too.", "I'm good, thanks", "Very well, thank you.", "I am well.", "Fine, thanks!",
      "I am good.", "Great, thanks!"], "I am glad to hear that."),
    (["I am sad", "I feel bad.", "I am not well.", "I am tired.", "I'm sad today.", "I had a bad day."],
     "I am sorry to hear that. I hope it gets better soon."),
    (["Thank you", "Thanks!", "Thank you very much!", "Thanks a lot", "Many thanks!", "Thx", "Great, thank you!",
      "That was helpful, thanks."], "You are welcome!"),
    (["Bye", "Goodbye!", "See you!", "See you later.", "Good night!", "Bye bye", "I have to go.", "Farewell!"],
     "Goodbye!"),
    (["What can you do?", "What can I ask you?", "How can you help me?", "What are you good at?", "Help",
      "What do you know?", "What are your skills?"],
     "I can chat a little, tell you about confab, call tools, copy things into JSON and tell a short story."),
    (["Are you a human?", "Are you a person?", "Are you real?", "Are you human?", "Are you a robot?", "Are you an AI?",
      "Are you alive?"], "No, I am a tiny language model."),
    (["Tell me a joke.", "Do you know a joke?", "A joke, please.", "Make me laugh.", "Say something funny."],
     "Why did the token cross the road? It was the most likely thing to do."),
    (["What is your favourite colour?", "What's your favorite color?", "Which colour do you like?",
      "Do you have a favourite colour?"], "I like green, the colour of a passing test."),
    (["Do you like music?", "Do you like books?", "Do you like cats?", "Do you like pizza?", "Do you like dogs?",
      "Do you like rain?", "What do you like?"], "I am a model, so I like text best of all."),
    (["You are great!", "Well done!", "Good job!", "You are smart.", "Nice!", "I like you.", "Cool!", "Awesome!",
      "Wow!", "Very good."], "Thank you, that is kind of you."),
    (["You are stupid.", "That is wrong.", "You are wrong.", "That was not right.", "Bad answer."],
     "I am sorry. I am tiny and make mistakes."),
    (["OK", "Okay.", "I see.", "All right.", "Fine.", "Got it.", "Sure."], "Is there anything else I can do?"),
    (["No", "No, thanks.", "No, that is all.", "Nothing else.", "That's all."], "All right. I am here if you need me."),
    (["Yes", "Yes, please.", "Yes!"], "What would you like?"),
    (["Nice weather today!", "It is a nice day.", "The sun is shining.", "What a lovely day!"],
     "That sounds lovely. Enjoy the day!"),
    (["How old are you?", "What is your age?", "When were you born?"],
     "I am as old as my training run, which is not old at all."),
    (["Where are you?", "Where do you live?", "Where are you from?"], "I live in one small file, on your own machine."),
    (["Let's talk.", "Let us chat.", "Can we talk?", "I am bored.", "Talk to me."], "Gladly! Ask me about confab, or for a story."),
    (["Sorry", "I am sorry.", "My mistake.", "Oops!"], "No problem at all."),
    (["Can you help me?", "I need help.", "Help me, please.", "I need your help."], "Of course. What do you need?"),
]

TELL_NAME = ["My name is {n}.", "I am {n}.", "I'm {n}.", "Hi, my name is {n}.", "Hello, I am {n}.", "Call me {n}.",
             "My name is {n}", "Hi! I'm {n}.", "You can call me {n}.", "Please call me {n}.", "Hello! My name is {n}.",
             "Hi, I am {n}!", "Please remember that my name is {n}.", "My name's {n}.", "The name is {n}.",
             "Hey, I am {n}.", "Remember my name: {n}.", "I am called {n}."]
ASK_NAME = ["What is my name?", "What's my name?", "Do you remember my name?", "Who am I?", "Do you know my name?",
            "What am I called?", "Can you tell me my name?", "Tell me my name.", "What did I say my name was?",
            "Say my name.", "Please tell me my name.", "Remind me: what is my name?", "And what is my name?"]

JSON_ASK = ["Give me a JSON object with {b}.", "Make JSON with {b}.", "Write a JSON object with {b}.",
            "Return JSON: {b}.", "JSON with {b}, please.", "Answer in JSON: {b}.", "Make a JSON object from {b}.",
            "Please write {b} as JSON.", "Turn this into JSON: {b}", "Produce a JSON object with {b}.",
            "I need JSON with {b}.", "Create a small JSON object with {b}."]

HERO_WORLD = {"fox": ("the forest", "a silver key", "an owl"), "cat": ("an old house", "a red ball", "a mouse"),
              "dog": ("the beach", "a blue shell", "a crab"), "robot": ("a quiet town", "a small lamp", "a child"),
              "bird": ("a tall tree", "a golden feather", "a squirrel"), "bear": ("the mountains", "a jar of honey", "a bee"),
              "dragon": ("a dark cave", "a warm stone", "a knight"), "girl": ("a village", "an old map", "a sailor"),
              "boy": ("a farm", "a paper boat", "a frog"), "wizard": ("a tower", "a lost book", "a raven")}
HEROES = list(HERO_WORLD)
HERO_NAME = {"fox": "Lumo", "cat": "Mira", "dog": "Bruno", "robot": "Tik", "bird": "Pia", "bear": "Balo",
             "dragon": "Ember", "girl": "Nell", "boy": "Finn", "wizard": "Orin"}
STORY_NAMES = ["Lumo"]
STORY = ("Once upon a time there was a {w} called {n}, who lived in {p}. One day {n} found {t}, but did not know whose "
         "it was. Then came {f}, who had looked for it all day. {n} gave it back, and from that day on they were friends.")
STORY_ASK = ["Tell me a story about a {w}.", "Tell me a short story about a {w}.", "Write a short story about a {w}.",
             "A story about a {w}, please.", "Can you tell me a story about a {w}?", "Make up a story about a {w}."]
STORY_ASK_NAMED = ["Tell me a story about a {w} called {n}.", "Tell me a short story about a {w} named {n}.",
                   "Write a short story about {n} the {w}.", "A story about a {w} called {n}, please.",
                   "Tell me a story about {n}, a {w}."]
STORY_ASK_ANY = ["Tell me a story.", "Tell me a short story.", "Write a short story.", "A story, please.",
                 "Can you tell me a story?", "Do you know a story?", "Once upon a time"]

TOPICS = """history physics chemistry biology mathematics poetry politics economics medicine law philosophy religion
geography astronomy psychology football chess cooking gravity evolution inflation democracy photosynthesis
relativity electricity magnetism vaccines climate volcanoes dinosaurs Shakespeare Napoleon Einstein Mozart Python
JavaScript Rust Java Docker Kubernetes Linux algebra calculus geometry statistics""".split() + [
    "quantum mechanics", "black holes", "machine learning", "the French Revolution", "the Roman Empire",
    "the Second World War", "the stock market", "neural networks", "the human heart", "the meaning of life",
    "the speed of light", "the theory of relativity", "climate change", "general relativity", "world history"]
TOO_HARD = ["Explain {x}.", "Explain {x} to me.", "Write an essay about {x}.", "What do you think about {x}?",
            "Teach me {x}.", "Write a poem about {x}.", "Why is {x} important?", "Who invented {x}?",
            "What is {x}?", "How does {x} work?", "What is the history of {x}?", "Give me a summary of {x}.",
            "Compare {x} and {y}.", "Write a program about {x}.", "Write code for {x}.", "Tell me about {x}.",
            "Solve this problem about {x}.", "What is the capital of {c}?", "Who is the president of {c}?",
            "Write a letter to {n} about {x}.", "What happened in {c}?", "Who was {n}?", "Can you explain {x}?",
            "Write a Python function for {x}.", "How do I learn {x}?", "What are the causes of {x}?",
            "Write a song about {x}.", "Give me a recipe for {x}.", "Plan a trip to {c}.", "Is {x} true?",
            "Write a long article about {x}.", "What is the difference between {x} and {y}?", "Prove a theorem of {x}.",
            "How far away is {x}?", "When did {x} begin?", "Describe {x} in detail.", "What should I do about {x}?"]

ECHO = ["Repeat: {v}", "Repeat after me: {v}", "Say {v}", "Say: {v}", "Please say {v}", "Echo {v}", "Write: {v}",
        'Repeat "{v}"', 'Say "{v}"', "Repeat this: {v}", "Copy this: {v}", "Copy: {v}", 'Please repeat "{v}"']
