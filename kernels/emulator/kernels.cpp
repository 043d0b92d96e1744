// All kernels by name. Tests only.
#define OSSMARK_EMULATED
#include "kernels.h"

#include "../attention.cu"
#include "../attention_packed.cu"
#include "../attention_prefill.cu"
#include "../embed.cu"
#include "../experts_down.cu"
#include "../experts_down_thin.cu"
#include "../experts_down_wide.cu"
#include "../experts_pack.cu"
#include "../experts_up.cu"
#include "../experts_up_thin.cu"
#include "../experts_up_wide.cu"
#include "../gather_rows.cu"
#include "../kv_write.cu"
#include "../linear.cu"
#include "../linear_thin.cu"
#include "../linear_wide.cu"
#include "../rmsnorm.cu"
#include "../rope.cu"
#include "../rope_kv.cu"
#include "../route.cu"
#include "../router.cu"
#include "../sample.cu"
#include "../synthetic.cu"

namespace emulator {

template <typename A>
static Kernel take(const char* name, void (*kernel)(A)) {
    return {name, [kernel](void** params) {
                // Copied at launch, as the driver does.
                auto args = *(typename std::remove_const<A>::type*)params[0];
                return std::function<void()>([kernel, args] { kernel(args); });
            }};
}

const std::vector<Kernel>& kernels() {
#define TAKE(name) take(#name, ::name)
    static const std::vector<Kernel> all = {
        TAKE(add),
        TAKE(add_rmsnorm),
        TAKE(attention),
        TAKE(attention_combine),
        TAKE(attention_packed),
        TAKE(attention_prefill),
        TAKE(attention_prefill_fp8),
        TAKE(attention_packed_fp8),
        TAKE(combine),
        TAKE(embed),
        TAKE(experts_down),
        TAKE(experts_down_thin),
        TAKE(experts_down_wide),
        TAKE(experts_pack),
        TAKE(experts_up),
        TAKE(experts_up_thin),
        TAKE(experts_up_wide),
        TAKE(gather_rows),
        TAKE(kv_write),
        TAKE(linear),
        TAKE(linear_thin),
        TAKE(linear_wide),
        TAKE(rmsnorm),
        TAKE(rope),
        TAKE(rope_kv),
        TAKE(route),
        TAKE(router),
        TAKE(sample),
        TAKE(schedule),
        TAKE(synthetic_bf16),
        TAKE(synthetic_bytes),
        TAKE(synthetic_scales),
    };
    return all;
}

}  // namespace emulator
