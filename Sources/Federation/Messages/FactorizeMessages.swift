// Which layers' moments a task is about: names from the network, bounded.

extension FactorizableSelection {
    init(_ body: Pleach_V1_MomentsWork) throws(MessageError) {
        self.init(
            method: try known(body.method, "moments.method"), only: try names(body.only, "moments.only"),
            excluded: try names(body.excluded, "moments.excluded"))
    }
}

/// Weights or nodes.
func names(_ values: [String], _ field: String) throws(MessageError) -> [String] {
    guard values.count <= MessageLimits.excludedNames else { throw MessageError("\(field) is too long") }
    var names: [String] = []
    for value in values { names.append(try text(value, field)) }
    return names
}
