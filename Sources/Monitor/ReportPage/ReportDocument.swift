/// A page around sections: what every report has, and nothing that comes from elsewhere. Without a script, and forbidden to
/// load anything, so that a file that is passed on shows what it holds and tells nobody who reads it.
struct ReportDocument {
    /// One part of the page, with a heading that can be jumped to.
    struct Section {
        var id: String
        var title: String
        var body: Markup
    }

    var title: String
    /// Under the title.
    var subtitle: String
    /// What must be known before anything else is read, a sentence each.
    var notices: [String] = []
    var sections: [Section]

    static let policy = "default-src 'none'; style-src 'unsafe-inline'"

    /// The file's bytes.
    var bytes: [UInt8] { Array(markup.text.utf8) }

    private var markup: Markup {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8"/>
        <meta http-equiv="Content-Security-Policy" content="\(Markup(Self.policy))"/>
        <meta name="viewport" content="width=device-width, initial-scale=1"/>
        <meta name="color-scheme" content="light dark"/>
        <title>\(title)</title>
        <style>\(Markup(ReportStyle.text))</style>
        </head>
        <body>
        <header><h1>\(title)</h1><p class="soft">\(subtitle)</p>
        <nav aria-label="Parts of this report"><ul>\(sections.map { "<li><a href=\"#\($0.id)\">\($0.title)</a></li>" })</ul></nav>
        </header>
        \(notices.isEmpty ? Markup() : Self.notice(notices))<main>
        \(sections.map(Self.markup))</main>
        <footer><p>Figures in \(Self.units). What was not measured is left out, or a dash.</p></footer>
        </body>
        </html>

        """
    }

    private static let units = "powers of 1000 and SI units; stages count from 1, rounds from 0"

    private static func notice(_ sentences: [String]) -> Markup {
        "<div class=\"notice\" role=\"note\">\(sentences.map { "<p>\($0)</p>" as Markup })</div>\n"
    }

    private static func markup(_ section: Section) -> Markup {
        """
        <section id="\(section.id)" aria-labelledby="\(section.id)-h"><h2 id="\(section.id)-h">\(section.title)</h2>
        \(section.body)</section>

        """
    }
}
