//! What the fused operators have in common as operators of tract's.

/// Implements tract's traits for a fused operator: its name, the field that holds its kernel (an `Arc`, by which two of
/// them are told apart), and how it runs. Its facts do not depend on its input's, which the rewrite has checked.
macro_rules! fused_op {
    ($op:ident, $name:literal, $kernel:ident, |$self:ident, $inputs:ident| $run:expr) => {
        impl std::fmt::Debug for $op {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($name)
            }
        }

        impl PartialEq for $op {
            fn eq(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.$kernel, &other.$kernel)
            }
        }

        impl Eq for $op {}

        impl Op for $op {
            fn name(&self) -> StaticName {
                $name.into()
            }

            op_as_typed_op!();
        }

        impl EvalOp for $op {
            not_out_of_plan!();

            fn eval(&self, _: &EvalContext, $inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
                let $self = self;
                $run
            }
        }

        impl TypedOp for $op {
            fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
                Ok(self.facts())
            }

            as_op!();
        }
    };
}
pub(super) use fused_op;
