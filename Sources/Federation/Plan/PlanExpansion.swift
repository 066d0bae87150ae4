/// Environment variables in paths and SPECs: `${NAME}` and `${NAME:-default}`, as the shell reads them.
enum PlanExpansion {
    /// Why an expansion failed: the rest of a sentence that begins with the key.
    struct Failure: Error {
        let message: String
    }

    /// `text` with its variables replaced. A variable that is unset or empty gives its default; without a default an
    /// unset one is an error. A `$` without `{` stands for itself. Values are not expanded again.
    static func expand(_ text: String, _ environment: [String: String]) throws(Failure) -> String {
        var result = ""
        var rest = Substring(text)
        while let start = rest.nextDollarBrace {
            result += rest[..<start]
            let body = rest[rest.index(start, offsetBy: 2)...]
            guard let end = body.firstIndex(of: "}") else {
                throw Failure(message: "has a '${' without its '}'")
            }
            result += try value(of: body[..<end], environment)
            rest = body[body.index(after: end)...]
        }
        return result + rest
    }

    private static func value(
        of body: Substring, _ environment: [String: String]
    ) throws(Failure) -> String {
        var name = body
        var fallback: Substring?
        if let colon = body.firstIndex(of: ":"), body[body.index(after: colon)...].first == "-" {
            name = body[..<colon]
            fallback = body[body.index(colon, offsetBy: 2)...]
        }
        let isName =
            name.first.map { !$0.isNumber } ?? false
            && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        guard isName, !(fallback?.contains("${") ?? false) else {
            throw Failure(message: "holds '${\(String(body).clipped)}'; write ${NAME} or ${NAME:-default}")
        }
        let value = environment[String(name)]
        if let value, !value.isEmpty || fallback == nil { return value }
        if let fallback { return String(fallback) }
        throw Failure(
            message: "needs the environment variable \(name), which is not set; set it or write ${\(name):-default}")
    }
}

extension Substring {
    /// Where the next `${` begins.
    fileprivate var nextDollarBrace: Index? {
        indices.first { self[$0] == "$" && self[index(after: $0)...].first == "{" }
    }
}
