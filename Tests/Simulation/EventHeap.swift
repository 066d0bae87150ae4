/// Events in order of time; those of one moment in the order in which they were scheduled. A binary heap: every
/// operation is O(log n).
struct EventHeap<Event> {
    struct Entry {
        let time: Double
        let order: UInt64
        let event: Event

        func precedes(_ other: Entry) -> Bool {
            time < other.time || (time == other.time && order < other.order)
        }
    }

    private var entries: [Entry] = []
    private var nextOrder: UInt64 = 0

    mutating func push(_ event: Event, at time: Double) {
        push(Entry(time: time, order: nextOrder, event: event))
        nextOrder += 1
    }

    /// Puts an event that cannot be taken yet back, before whatever was scheduled after it.
    mutating func postpone(_ entry: Entry, to time: Double) {
        push(Entry(time: time, order: entry.order, event: entry.event))
    }

    private mutating func push(_ entry: Entry) {
        entries.append(entry)
        var child = entries.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard entries[child].precedes(entries[parent]) else { break }
            entries.swapAt(child, parent)
            child = parent
        }
    }

    mutating func pop() -> Entry? {
        guard let first = entries.first, let last = entries.popLast() else { return nil }
        guard !entries.isEmpty else { return first }
        entries[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count {
                if entries[child].precedes(entries[least]) { least = child }
            }
            guard least != parent else { return first }
            entries.swapAt(parent, least)
            parent = least
        }
    }
}
