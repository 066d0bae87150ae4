extension EventSchema {
    /// The first thing by which a value does not fit a schema, nil when it fits.
    func complaint(about value: JSONValue, _ schema: JSONValue, at place: String) -> String? {
        let here = place.isEmpty ? "the line" : place
        if schema["$ref"] != nil, let found = complaint(about: value, resolved(schema), at: place) { return found }
        if let type = schema["type"], !Self.types(type).contains(where: { Self.value(value, isOf: $0) }) {
            return "\(here) is of type \(value.type)"
        }
        if let allowed = schema["enum"]?.array, !allowed.contains(value) {
            return "\(here) is none of the values allowed"
        }
        if let constant = schema["const"], constant != value { return "\(here) is not \(constant)" }
        if let found = numberComplaint(value, schema) ?? textComplaint(value, schema) { return "\(here) \(found)" }
        for part in schema["allOf"]?.array ?? [] {
            if let found = complaint(about: value, part, at: place) { return found }
        }
        if let condition = schema["if"], let consequence = schema["then"],
            complaint(about: value, condition, at: place) == nil,
            let found = complaint(about: value, consequence, at: place)
        {
            return found
        }
        return memberComplaint(value, schema, at: place) ?? elementComplaint(value, schema, at: place)
    }

    private static func types(_ type: JSONValue) -> [String] {
        type.string.map { [$0] } ?? type.array?.compactMap(\.string) ?? []
    }

    private static func value(_ value: JSONValue, isOf type: String) -> Bool {
        value.type == type || type == "number" && value.type == "integer"
    }

    private func numberComplaint(_ value: JSONValue, _ schema: JSONValue) -> String? {
        guard let number = value.double else { return nil }
        if let least = schema["minimum"]?.double, number < least { return "is \(number), below \(least)" }
        if let most = schema["maximum"]?.double, number > most { return "is \(number), above \(most)" }
        return nil
    }

    private func textComplaint(_ value: JSONValue, _ schema: JSONValue) -> String? {
        guard let text = value.string else { return nil }
        let length = Double(text.unicodeScalars.count)
        if let least = schema["minLength"]?.double, length < least { return "is too short" }
        if let most = schema["maxLength"]?.double, length > most { return "is too long" }
        guard let pattern = schema["pattern"]?.string, let regex = try? Regex(pattern) else { return nil }
        return text.contains(regex) ? nil : "'\(text)' does not match \(pattern)"
    }

    private func memberComplaint(_ value: JSONValue, _ schema: JSONValue, at place: String) -> String? {
        guard let members = value.object else { return nil }
        for name in schema["required"]?.array?.compactMap(\.string) ?? [] where members[name] == nil {
            return "\(name) is missing"
        }
        for (name, member) in members.sorted(by: { $0.key < $1.key }) {
            if let known = schema["properties"]?[name] {
                if let found = complaint(about: member, known, at: "\(place)/\(name)") { return found }
            } else if schema["additionalProperties"] == .bool(false) {
                return "\(name) is no field of it"
            }
        }
        return nil
    }

    private func elementComplaint(_ value: JSONValue, _ schema: JSONValue, at place: String) -> String? {
        guard let elements = value.array else { return nil }
        if let most = schema["maxItems"]?.double, Double(elements.count) > most {
            return "\(place) has too many elements"
        }
        guard let each = schema["items"] else { return nil }
        for (index, element) in elements.enumerated() {
            if let found = complaint(about: element, each, at: "\(place)/\(index)") { return found }
        }
        return nil
    }
}
