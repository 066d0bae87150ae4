import ArgumentParser

/// Extents of the axes that a model leaves open; for every command that needs shapes.
struct ExtentOptions: ParsableArguments {
    @Option(help: "Extent of an open axis, as NAME=N; may be repeated.")
    var extent: [String] = []

    func parsed() throws -> [String: Int] {
        var extents: [String: Int] = [:]
        for text in extent {
            guard let sign = text.lastIndex(of: "="), sign != text.startIndex,
                let value = Int(text[text.index(after: sign)...]), value >= 0
            else { throw ValidationError("--extent '\(text)' is not of the form NAME=N, such as sequence=128") }
            guard extents.updateValue(value, forKey: String(text[..<sign])) == nil else {
                throw ValidationError("--extent '\(text)' gives that axis a second extent")
            }
        }
        return extents
    }
}
