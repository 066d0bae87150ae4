extension MomentFold {
    /// Their mean by weight as it travels. Precondition: something was added.
    public func set() -> MomentSet {
        MomentSet(layout, layout.entries.indices.map { mean(ofEntry: $0) })
    }
}
