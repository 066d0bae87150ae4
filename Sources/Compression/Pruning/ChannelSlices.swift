import ModelGraph
import Tensors

/// Which elements of a tensor belong to which channel of a group.
struct ChannelSlices {
    let channels: Int
    /// Along the member's axis: the channel of each index, -1 for none.
    private let channelOf: [Int]
    /// Elements between one index of the axis and the next.
    private let inner: Int
    private let outer: Int

    /// - Throws: `CompressionError.groupMisfit` for a group of another graph.
    init(_ member: ChannelMember, of group: ChannelGroup, shape: Shape) throws(CompressionError) {
        guard shape.dimensions.indices.contains(member.axis), member.places.count == group.channels else {
            throw .groupMisfit(group: group.name, reason: "its member '\(member.parameter)' is \(shape) in this model")
        }
        let extent = shape[member.axis]
        var channelOf = [Int](repeating: -1, count: extent)
        for (channel, places) in member.places.enumerated() {
            for place in places {
                guard (0..<extent).contains(place) else {
                    throw .groupMisfit(
                        group: group.name,
                        reason: "it reaches index \(place) of axis \(member.axis) of '\(member.parameter)' \(shape)")
                }
                channelOf[place] = channel
            }
        }
        channels = group.channels
        self.channelOf = channelOf
        inner = shape.dimensions[(member.axis + 1)...].reduce(1, *)
        outer = shape.dimensions[..<member.axis].reduce(1, *)
    }

    /// Adds `value` of each element's index to the sum of its channel. Precondition: `sums.count == channels`.
    @inline(__always)
    func add(into sums: inout [Double], _ value: (Int) -> Double) {
        visitRuns { channel, elements in
            var sum = 0.0
            for element in elements { sum += value(element) }
            sums[channel] += sum
        }
    }

    /// The elements of a tensor by channel, each channel's in order.
    func rows(of values: UnsafeBufferPointer<Float>) -> [[Float]] {
        var rows = [[Float]](repeating: [], count: channels)
        visitRuns { channel, elements in rows[channel] += values[elements] }
        return rows
    }

    @inline(__always)
    private func visitRuns(_ body: (_ channel: Int, _ elements: Range<Int>) -> Void) {
        var start = 0
        for _ in 0..<outer {
            for channel in channelOf {
                if channel >= 0 { body(channel, start..<start + inner) }
                start += inner
            }
        }
    }
}
