import Tensors

/// Which labels of a graph die when only some channels stay.
struct DeadChannels {
    struct Channel {
        let group: String
        let index: Int
        let isNormalizedOver: Bool
    }

    let structure: ChannelStructure
    /// By class.
    private var channels: [Int32: Channel] = [:]

    /// - Throws: `ModelError.invalidRequest` for a group that does not exist, one that would vanish, indices that are
    ///   outside it or not ascending, and groups of another graph.
    init(
        _ kept: [String: [Int]], of groups: ChannelGroups, in structure: ChannelStructure
    ) throws(ModelError) {
        self.structure = structure
        let known = Dictionary(groups.groups.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for (name, places) in kept.sorted(by: { $0.key < $1.key }) {
            guard let group = known[name] else {
                throw .invalidRequest(
                    "the model has no group of channels '\(name)'"
                        + NearestName.hint(for: name, in: groups.groups.map(\.name)))
            }
            guard !places.isEmpty else {
                throw .invalidRequest(
                    "group '\(name)' would vanish; keep at least 1 of its \(group.channels) channels")
            }
            guard places.allSatisfy({ (0..<group.channels).contains($0) }),
                zip(places, places.dropFirst()).allSatisfy({ $0 < $1 })
            else {
                throw .invalidRequest(
                    "the channels to keep of group '\(name)' must ascend from 0 to at most \(group.channels - 1)")
            }
            let stays = Set(places)
            for channel in 0..<group.channels where !stays.contains(channel) {
                channels[try label(of: group, channel)] = Channel(
                    group: name, index: channel, isNormalizedOver: group.isNormalizedOver)
            }
        }
    }

    var isEmpty: Bool { channels.isEmpty }

    /// The class of a channel, found from any of its places.
    private func label(of group: ChannelGroup, _ channel: Int) throws(ModelError) -> Int32 {
        guard let member = group.members.first, member.places.indices.contains(channel),
            let place = member.places[channel].first,
            (0..<structure.rank(member.parameter)).contains(member.axis),
            (0..<structure.extent(member.parameter, member.axis)).contains(place)
        else { throw .invalidRequest("group '\(group.name)' does not belong to this model") }
        let classes = structure.classes(member.parameter, member.axis)
        let label = classes[classes.startIndex + place]
        guard structure.reason(label) == nil else {
            throw .invalidRequest("group '\(group.name)' does not belong to this model")
        }
        return label
    }

    /// The dead indices of an axis, ascending, with the channels they belong to.
    func dead(_ value: String, _ axis: Int) -> [(place: Int, channel: Channel)] {
        guard !channels.isEmpty else { return [] }
        return structure.classes(value, axis).enumerated().compactMap { place, label in
            channels[label].map { (place, $0) }
        }
    }

    /// The indices of an axis that stay, or nil where all do.
    func kept(_ value: String, _ axis: Int) -> [Int]? {
        guard !channels.isEmpty else { return nil }
        let classes = structure.classes(value, axis)
        let places = classes.enumerated().compactMap { channels[$1] == nil ? $0 : nil }
        return places.count == classes.count ? nil : places
    }

    /// The extents of a value when dead indices are gone.
    func dimensions(_ value: String) -> [Int] {
        (0..<structure.rank(value)).map { kept(value, $0)?.count ?? structure.extent(value, $0) }
    }
}
