"""The words of a card: 2048 of them, 11 bits each, chosen to survive handwriting, dictation and a bad day.

Four to nine letters, plain words of things; no two differ by one letter or two swapped ones, none
is another with an ending, and common homophones are left out. The order is part of nothing: a card
is its words.
"""

WORDS = """
abacus absorb abstract academy accent accordion account acoustic acre acrobat action active address admiral admit
adobe adult advance adverb advice aerial affair afford afternoon agenda agile agree aircraft airline airport airship
albatross album alchemy alcove alert alfalfa algebra alliance almanac almond almost alpaca alphabet alpine alto
aluminum always amateur ambient ambition amethyst amount amuse anagram anatomy anchor anchovy animal annual answer
anteater antelope anthem antique anvil apiary apparel appetite applaud apricot april apron aqua aquarium aqueduct
arcade archer archive arctic argue armadillo aroma arrange arrive artichoke artist ascend aspect aspen asphalt aspirin
assist asteroid astronomy athlete atlas atom attach attend attic attorney audience august aurora author autumn
avalanche avenue avocado avocet award away awning axiom axis axle azalea azure backpack badger bagel bagpipe bakery
balance balcony ballad balloon ballroom balsam bamboo banana banjo banner banquet barbecue barber bargain barley
barometer baroque barrel basement basket bathrobe bayou bazaar beacon beagle beanstalk beaver because become bedrock
bedroom beehive beetle before begin begonia behind beige believe bellows belong below bench benefit bergamot beside
between beyond bicycle billboard binder biography biology birch birthday biscuit bison blackbird blanket blink
blizzard blonde blossom blueberry bluebird bluff bobbin bobcat bobsled body bonfire bonus bookcase bookmark boomerang
border borrow borscht botanic botanist botany bottle bottom boulder boulevard bounce bouquet boutique bowling bracelet
bracket bramble brave breakfast breath breeze brewery brief briefcase brigade bright brilliant bring broad brocade
broccoli brochure bronco bronze bubble bucket buckle buckwheat budget buffalo buffet bugle build bulletin bumblebee
bundle bungalow bunny burger butter buttercup butterfly butternut button buzz cabbage cabin cabinet caboose cactus
cafeteria calcium calendar calico calypso camel camellia camera campfire campus canal canary candid candle canoe
canteen canvas canyon capital captain caption carafe caravan caraway carbon cardinal careful cargo caribou carnival
carpet carriage carrot cartwheel cascade cashew cashmere casino cassette castle casual catalog catfish cathedral
cauldron cavern caviar cedar ceiling celebrate celery celestial cement census centaur center century ceramic chalet
chalk champion chance channel chaplain charade charcoal chariot charity chase chauffeur cheap cheddar cheese cheetah
chemist cherry chestnut chevron chicken chicory chili chimney chipmunk chisel chives chocolate choice choose chorus
chowder chrome chronicle chunk cicada cilantro cinema cinnamon circle circus citadel citizen citrus city clarify
clarinet classic clavicle clerk cliff climate climb clinic cloakroom clockwork cloister cloth cloud club coastal
cobalt cobbler cobweb cockatoo cocoa coconut cocoon coffee cognac coleslaw collage collar collect collie colony column
comb comedy comet comfort comma command common compact compass composer compost concert concrete condor conductor
confetti confirm connect console convoy cookie copilot copper cordial coriander cornbread corner cornice corridor
cosmetic cosmic cosmonaut cosmos cottage cotton count country couple courage course courtyard cowboy coyote crab
cracker cradle cranberry crane crater crawfish crayon create creature crescendo crescent crevice crew cricket crimson
crinkle crisp critic crochet crocus crop croquet crossword crouton cruise crumb crunch crystal cuckoo cucumber culvert
cupboard cupcake cupola curator curious curtain cushion custom cutlery cycle cyclone cypress dachshund daffodil dahlia
dancer dandelion daring dashboard database daybreak daylight daytime dazzle debate decade december decimal decorate
decorum define delight deliver delphi delta denim dentist depart depend deposit depth deputy derby design detail
detour dewdrop diagram dialogue diamond diesel differ digit dimple dinosaur diorama diploma direct director discover
dishes display distant divide doctor doctrine dogwood dolomite dolphin domain domino donate donkey doorbell doorstep
doorway double dough doughnut download downtown dozen dragon dragonfly drama drapery drawer drawing dress dribble
driftwood drink drizzle drum drummer duckling dumpling duplex durable duty dynamic dynamo eager early earring
earthworm earthy eastern ebony echo eclair eclectic ecology edit editor educate effort eggplant eggshell egret elbow
elder electric elegant element elephant elevator eleven elixir else embark embassy emblem embrace embroider emerald
employ empty enable enamel encamp encore endeavor endless energy engage engine engrave enigma enjoy enormous enough
enrich enroll ensemble entail entire entrance entry envelope epilogue episode equal equation equator equinox equip
erase ermine errand escort espresso essay essence estate eternal ethics etiquette evening event evergreen evidence
evolve exact examine example exchange excite exercise exhibit exodus exotic expand expert explain explore express
extend extra eyebrow fabric fabulous fair falafel falcon fancy fanfare farewell farmer farmhouse fashion fatigue
faucet feature february fedora feedback fence fennec fern ferret fervent festival festive fiber fiction fiddle fidget
field fifteen fiftieth fifty figure filament filbert filter final finance finger finish firefly fireside firewood
first fiscal fjord flagpole flagship flagstone flamingo flannel flatbread flavor flaxseed fleece flicker flight flint
floor floral florist flotilla flounder fluffy fluid flute focus follow fondue foothill footpath footstep foreign
forest forget formal formula forsythia fortress fortune forty forward fossil foundry foxglove foyer fragile freckle
freedom freesia freight fresco fresh friday friend fringe frisbee fritter frog frolic frosting frozen fruit fudge
fungus furlong furnace future fuzzy gadget galaxy gallery gallop gander gannet garage garden gardenia gargle garland
garlic garment garrison gatehouse gather gauge gazebo gazelle gearbox gecko gelatin general generous gentle genuine
geology geometry geranium gerbil gesture getaway geyser gigabyte giggle gingham giraffe glacier gladly glance gleam
glider glimmer glimpse glitter glory glossary glossy gnocchi gnome goblet golden gondola gopher gorge gorilla gosling
gossip gourmet governor graduate graffiti grammar granite granola grapevine graphite gravel gravity gravy greenery
greyhound griddle gridiron grizzly grocery groove grotto group guard guava guidebook guinea guitar guitarist gumdrop
gymnast gypsum habit habitat hacienda hairbrush halfway halibut halogen hamlet hammer hammock hamster handbag handmade
handrail handshake hangar happen happy harbinger harbor harlequin harmonica harmony harness harvest hawk haystack
hazel hazelnut headlamp headline hedgehog height heirloom helium helmet helper hemlock heptagon herbal heritage heroic
heron herring hexagon hibiscus hickory hidden high highway hillside hilltop hinge hippo historian history hockey
holiday hollyhock holster homestead honest honeybee honeycomb honeydew hopeful horizon hornbeam horseshoe hostel
hourglass household human hummus humor hundred hyacinth hybrid hyphen iceberg icicle icing idea igloo image imagine
immense impala import improve impulse include income index indigo indoor inform inkwell inlet input insect inside
inspire install instead instinct insulate intend interest intrepid invite iodine iris ironwork island isotope
itinerary ivory jackal jacket jackpot jaguar jamboree january jargon jasmine jaunty jawbone jazz jeans jersey jewel
jigsaw jodhpur joke jonquil journal journey jubilee juice jukebox july jumbo jumper junction junior juniper kale
kangaroo katydid kayak kerchief keyboard keystone kilogram kimono kindle kinetic kingdom kinship kiosk kitchen kite
kiwi knapsack koala kumquat label labyrinth lacquer ladder ladybug lagoon lambent landmark landscape lantern laptop
large larkspur latte lattice laugh launder laundry laurel lava lavender lavish lazy leader lecture legible legume
leisure lemon lemonade lentil lettuce liberty library lichen lifeboat ligament lilac lily limerick limit limpet
lineage linguist lion liquid listen lithium little lively lizard llama lobelia lobster locksmith logbook logic
longitude lotus lounge loyalty lucky luggage lullaby luminous lunar lunchbox lupine luxury lynx lyric macaroni macaw
machine mackerel magenta magic magma magnet magnify magnolia magpie mahogany mailbox mainland majestic mallard mammal
mammoth manager manatee mandarin mandolin manifest mansion mantis mantle manual marathon marble margin marigold marina
maritime market marmot maroon marquee marsh mascot masonry matinee matrix mattress mauve maximum mayfly maypole meadow
meander measure mechanic medieval meerkat melodic melody melon membrane memento memory mention mentor menu meridian
meringue mermaid mesa message metaphor meteor method metro metronome mezzanine midday midnight migrate mimic mineral
minimum minstrel miracle mirror misty mnemonic mobile modern modest module mohair molasses molecule moment monarch
monday mongoose monocle monorail monument moonbeam moorland morning mosaic mosquito motor motorway mouthful mudguard
mulberry multiply museum mushroom music muskrat muslin mutual myrtle mystery napkin narrate narrow nation native
nature nautical navigate nebula necklace necktie nectar needle neighbor neutral nickel nimble ninety noble nocturne
noise nomad noodle noontime northern nostalgia notable notebook nothing notice nougat novel novelty november nozzle
nuance nugget numeral nursery nutmeg nutshell nylon oasis oatmeal obelisk object oboe observe obsidian ocean octagon
octave october octopus offer office offshore often ointment olive omelet online onlooker only onyx opera opinion optic
option orator orbit orchard orchestra orchid oregano organ origami origin ornament osprey ostrich outboard outdoor
outfit outline outlook overcoat overture owner oxygen oyster paddock pagoda pajamas pamphlet panda panel panorama
pantheon panther papaya paprika papyrus parabola parachute parade paradox paraffin parasol parcel parchment parlor
parquet parsnip pass passport pasta pastel pastime pastrami patchwork pathway patient pattern pavilion peacock peanut
pearl pebble pecan pelican pencil pendant pendulum penguin peninsula penny pentagon people pepper percolate perfect
perform perfume perimeter period periscope permanent persimmon person petunia pharmacy pheasant philately phone photo
phrase physics piano pickle picnic picture pier pigeon pilgrim pillar pinafore pinnacle pinwheel pioneer pistachio
pitcher pizza placard plaid plankton plateau playful plaza please plenty plumage plunger plural plywood podium polish
polite polka pollen polygon porcelain porcupine porpoise porridge portal portrait position possible postage postbox
postcard potato potluck poultry prairie praise prawn prelude premier prepare present pretzel primrose prism private
problem process produce profile program prologue promise propeller proper prose proud provide provolone prune public
pudding pulley pumice pumpkin pupil puppet purchase purple purpose puzzle pyramid quail quality quarry quarter queen
quench question quick quicksand quince quintet quiver quiz rabbit raccoon radar radiant radish radius ragtime railing
rainbow raindrop raisin rally rampart random rapid rapport raspberry ravine ravioli reactor ready rebound rebuild
receive recipe recital recliner reconcile record rectangle recycle reduce reef reflect refresh regatta region register
regular rehearse reindeer relic relish remain remark remedy remember remind remote renew repair repeat reptile request
reservoir residence resin resolute resonate respect response result retire return reunion reveal reverie review reward
rhapsody rhubarb rhythm ribbon rickshaw ricotta ringlet ripple ritual riverbank rivulet roadside robin robot robust
rodeo rooftop rooster rosebud rosemary rosette rotate rotunda routine rowboat rowing rubber rucksack rudder ruler
runway rural rustic safari saffron sailboat salad salsa salt salute samovar sandal sandbox sandpiper sandwich sapling
sapphire sardine sassafras satchel satin saturday saucepan sauna savanna savory saxophone scaffold scale scallop scarf
scarlet scatter scenery scenic scepter scholar school science scissors scoop scooter scout scrap screen scribble
sculptor sculpture seabird seafood seagull search seashell seaside seaweed second section seek select seltzer semester
seminar senior sense sepia sequel sequence sequoia serenade series serve sesame session seven shadow shamrock shawl
shelter sherbet shield shine shipyard shoelace shortcut shoulder shovel shower shrimp shrub shuffle shuttle siesta
signal signpost silent silver similar single sketch skylark skylight skyline slalom sleeve slope small smooth smoothie
snowball snowdrop snowflake snowman social solid soloist solstice solve sombrero sonata soprano sorbet southern
souvenir spaniel sparrow spatula speak spearmint special spectrum speech sphere spinach spinning spiracle spiral
spirit splash splendid sponge spoonful spray spread sprocket sprout spruce square squash squid squirrel stadium staff
stallion stamina stanza starboard starfish starling station steady stencil stepping stereo stirrup stockpot stopwatch
storage strategy straw street stretch stucco studio study style subject suburb subway success suede sugar suggest suit
suitcase sulphur summer summit sunbeam sunflower sunlight sunrise sunset sunshine supply support surf surface surname
surprise survey sushi sweater sweetcorn swivel sycamore syllable symphony synonym synopsis syrup system tabletop
tadpole tailor talent tamarind tambour tandem tangerine tapestry tapioca target tarragon tartan taste taxi teacher
teakettle teapot teaspoon teddy teenager telegram telescope template tempo tenant tender tendril tennis tenor tepid
terrace terrier textile theater theme theory thermos thimble thirty thousand thread threshold thrive throttle thumb
thunder thursday tiger timber tinsel toadstool today together tomato tomorrow tongue tooth topaz topsoil torrent
tortilla tortoise total toucan touchdown tour townsfolk tractor tradition traffic tranquil transfer trapeze tray
treadmill treasure treat treetop trellis trend triangle triathlon tribe tribute tricycle trilogy tripod trolley
trombone trophy tropical trousers trout truffle trumpet truth tuesday tugboat tulip tundra tungsten turbine turkey
turmeric turn turnip turntable turquoise turtle tutor twelve twenty twice twilight twinkle twist typhoon typical
ukulele umbrella under unfold unicorn uniform unique universe until unwind update upgrade uphill upland upright upset
upstairs upstream useful usual utensil utility utopia vacant vaccine vacuum valiant valid vanilla vapor various vault
vector vegan vehicle velocity velvet vendor venture veranda verbena verdant vermilion verse version vertical vessel
vestibule viaduct vibrant victory video videotape view vignette viking vinegar vintner vinyl viola violet violin
virtue virtuoso visible vision visit visual vital vitamin vivacious vivid voice volcano volume volunteer vortex voyage
waffle wagon wagtail walkway wallaby wallpaper walnut walrus waltz want warbler wardrobe warranty watchman waterfall
waxwing wayside weave wednesday weekday weekend welcome westward wetland wharf wheel whimsical whirlpool white
wholesale wicker wildlife windmill window windsock wingspan wisdom wisteria woodland woodwind workbench workshop wren
wrist xylophone yacht yardstick yearbook yesterday yoga yogurt young yucca yuletide zebra zenith zephyr zeppelin zero
zigzag zinc zinnia zipper zodiac zoology
""".split()  # noqa: SIM905  as a literal it would be three times as long
