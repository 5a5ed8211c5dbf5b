// core/out_of_memory.h -- the last line of a daemon for which there is no more memory.
//
// Nothing can be done without it in the middle of anything, and what was acknowledged is on disk:
// so the process ends as after a failed ASSERT, by SIGABRT, and is to be started again.
// Turn:   allocates nothing; any thread, several at once too.
#pragma once

namespace backstay {

// For std::set_new_handler. Says which limits there are and what to do.
[[noreturn]] void EndForWantOfMemory();

}  // namespace backstay
