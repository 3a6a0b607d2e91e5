"""Pages for people: server-rendered, kept live over one stream a tab."""
