package text

// codes are the short names of languages that Qdrant takes, too.
var codes = map[string]string{
	"ar": "arabic", "az": "azerbaijani", "bn": "bengali", "ca": "catalan", "da": "danish", "de": "german",
	"el": "greek", "en": "english", "es": "spanish", "eu": "basque", "fi": "finnish", "fr": "french",
	"he": "hebrew", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "jp": "japanese",
	"kk": "kazakh", "ne": "nepali", "nl": "dutch", "no": "norwegian", "pt": "portuguese", "ro": "romanian",
	"ru": "russian", "sl": "slovene", "sv": "swedish", "ta": "tamil", "tg": "tajik", "tr": "turkish",
	"zh": "chinese",
}

// fullName returns the name of a language that has a short one, too.
func fullName(language string) string {
	if name, ok := codes[language]; ok {
		return name
	}
	return language
}
