import Compression
import Federation

// A plan's words for low rank as the numerics know them.

extension LayerSelection {
    /// - Parameter checksNames: false once stages have changed the model whose names were checked.
    package init(_ selection: FactorizableSelection, checksNames: Bool = false) {
        self.init(
            choice: FactorizationChoice(selection.method), only: selection.only.isEmpty ? nil : selection.only,
            excluded: selection.excluded, checksNames: checksNames)
    }
}

extension FactorizationChoice {
    package init(_ kind: FactorizationMethodKind) {
        self =
            switch kind {
            case .auto: .auto
            case .svd: .svd
            case .spatial: .spatial
            case .tucker: .tucker
            }
    }
}

extension FactorizationSettings {
    /// - Parameter checksNames: as in `LayerSelection`.
    package init(_ rules: FactorizeRules, checksNames: Bool = false) {
        let scope: RankBudget.Scope = rules.scope == .model ? .model : .layers
        let rule: RankRule =
            switch rules.amount {
            case .energy(let share): .energy(share)
            case .evbmf: .evbmf
            case .parameters(let share): .budget(RankBudget(.parameters, share: share, scope: scope))
            case .macs(let share): .budget(RankBudget(.macs, share: share, scope: scope))
            }
        self.init(
            rule: rule, multiple: rules.multiple,
            selection: LayerSelection(rules.selection, checksNames: checksNames))
    }
}
