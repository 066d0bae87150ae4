import Tensors

extension Graph {
    /// Finds the channels that can only be removed together, by labels on every axis of every value (union-find over
    /// value, axis and index). The model never runs; axes that inputs leave open get made-up extents, and with them
    /// `costs` too.
    /// - Throws: `ModelError` where shapes cannot be inferred.
    public func channelGroups() throws(ModelError) -> ChannelGroups {
        var finder = GroupFinder(try ChannelStructure(self))
        finder.collect()
        let groups = finder.groups()
        return ChannelGroups(
            groups: groups, costs: try finder.costs(groups), fixed: finder.fixed(groups))
    }
}

/// Gathers classes of labels into groups: those that reach the same axes of the same initializers, in the same roles and
/// with as many places, are channels of one group.
struct GroupFinder {
    /// One axis of one initializer, with the places a class has on it.
    struct Reach {
        let parameter: Int
        let axis: Int
        let role: AxisRole
        var places: [Int]
    }

    let structure: ChannelStructure
    private let names: [String]
    private let weights: Set<String>
    /// By class: what it reaches, in the order of initializers and axes.
    private var reached: [Int32: [Reach]] = [:]
    private var order: [Int32] = []
    /// The group of each class that belongs to one.
    private(set) var groupOf: [Int32: String] = [:]

    init(_ structure: ChannelStructure) {
        self.structure = structure
        names = structure.graph.initializers.names
        weights = Set(structure.graph.prunableNames)
    }

    mutating func collect() {
        for (parameter, name) in names.enumerated() {
            for axis in 0..<structure.rank(name) {
                let role = structure.roles[name, axis]
                guard !role.isEmpty else { continue }
                for (place, label) in structure.classes(name, axis).enumerated()
                where structure.reason(label) == nil {
                    var own = reached[label] ?? []
                    if own.isEmpty { order.append(label) }
                    if let last = own.last, last.parameter == parameter, last.axis == axis {
                        own[own.count - 1].places.append(place)
                    } else {
                        own.append(Reach(parameter: parameter, axis: axis, role: role, places: [place]))
                    }
                    reached[label] = own
                }
            }
        }
    }

    /// All groups, in the order of the initializers that name them.
    mutating func groups() -> [ChannelGroup] {
        var keys: [[Int]] = []
        var members: [[Int]: [Int32]] = [:]
        for label in order {
            guard let reach = reached[label] else { continue }
            let key = reach.flatMap { [$0.parameter, $0.axis, $0.places.count] }
            if members[key] == nil { keys.append(key) }
            members[key, default: []].append(label)
        }
        var found: [(name: Int, classes: [Int32], reach: [Reach])] = []
        for key in keys {
            guard let classes = members[key], classes.count > 1, let reach = reached[classes[0]],
                let naming = naming(reach)
            else { continue }
            let place = reach[naming]
            let sorted = classes.sorted {
                (reached[$0]?[naming].places[0] ?? 0) < (reached[$1]?[naming].places[0] ?? 0)
            }
            found.append((place.parameter, sorted, reach))
        }
        // The order of groups that share a weight is that of their first channels.
        let ordered = found.enumerated().sorted { ($0.element.name, $0.offset) < ($1.element.name, $1.offset) }
        var taken = Set<String>()
        var named: [(name: String, classes: [Int32], reach: [Reach])] = []
        for (_, group) in ordered {
            let name = Graph.uniqueName(names[group.name], taken: &taken)
            named.append((name, group.classes, group.reach))
            for label in group.classes { groupOf[label] = name }
        }
        let signatures = signatures()
        return named.map { group($0.name, $0.classes, $0.reach, signatures[$0.name] ?? "") }
    }

    /// The place in `reach` of the weight that names a group, or nil where nothing makes its channels.
    private func naming(_ reach: [Reach]) -> Int? {
        let makers = reach.indices.filter { reach[$0].role.contains(.makes) }
        return makers.first { weights.contains(names[reach[$0].parameter]) } ?? makers.first
    }

    private func group(_ name: String, _ classes: [Int32], _ reach: [Reach], _ signature: String) -> ChannelGroup {
        var members: [ChannelMember] = []
        for (index, member) in reach.enumerated() {
            let places = classes.map { reached[$0]?[index].places ?? [] }
            for (side, roles) in [
                (ChannelMember.Side.producer, AxisRole([.makes, .shapes, .scales])), (.consumer, .reads),
            ]
            where !member.role.isDisjoint(with: roles) {
                members.append(
                    ChannelMember(parameter: names[member.parameter], axis: member.axis, side: side, places: places))
            }
        }
        let traits = classes.reduce(into: AxisLabels.Traits()) { $0.formUnion(structure.traits($1)) }
        return ChannelGroup(
            name: name, kind: traits.contains(.heads) ? .heads : .channels, channels: classes.count, members: members,
            signature: signature, isNormalizedOver: traits.contains(.normalizedOver))
    }

    /// The groups on an axis, each with how many of the axis's elements one of its channels has.
    func groups(on value: String, _ axis: Int) -> [String: Int] {
        var perClass: [Int32: Int] = [:]
        for label in structure.classes(value, axis) where groupOf[label] != nil { perClass[label, default: 0] += 1 }
        var result: [String: Int] = [:]
        for (label, count) in perClass {
            guard let group = groupOf[label] else { continue }
            result[group] = max(result[group] ?? 0, count)
        }
        return result
    }

    /// The weights' axes that are in no group.
    func fixed(_ groups: [ChannelGroup]) -> [ChannelGroups.Fixed] {
        var result: [ChannelGroups.Fixed] = []
        for name in names where weights.contains(name) {
            for axis in 0..<structure.rank(name)
            where !structure.roles[name, axis].isDisjoint(with: [.makes, .reads]) {
                let classes = structure.classes(name, axis)
                guard !classes.isEmpty, !classes.contains(where: { groupOf[$0] != nil }) else { continue }
                let reason = classes.lazy.compactMap { structure.reason($0) }.first
                result.append(
                    ChannelGroups.Fixed(
                        parameter: name, axis: axis,
                        reason: reason
                            ?? (classes.count == 1 ? "it has one channel" : "its channels can only go all together")))
            }
        }
        return result
    }
}
