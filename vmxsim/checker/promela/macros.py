"""The part of the model that is the same for every design, written by hand."""

from __future__ import annotations

HEADER = """\
/*
 * {title}
 * {host} host, {cpus} CPU(s), {vcpus} vCPU(s); written by vmxsim from the design's kernel code.
 *
 * One transition of a thread is one choice and one section, three steps of Spin (choice, the join behind
 * it, section) without a state in between: which choice (the if at the top of the process), and what
 * follows from it up to the next point where somebody else can act. A trail of n transitions has 3 n + 2
 * steps. A section is one d_step. Made atomic are lines of kernel code while
 * preemption is disabled or interrupts are off, what the processor does at VM entry and exit, the
 * scheduler's work before and after the context switch, and returning from a function, which is no line
 * of its own. Every line that may be preempted ends a section.
 *
 * A thread's state is in thread[_pid] (T): the modes, flags and EFER, the values of the register in all
 * the places that hold one, by their number, and its stack: pc and scheduler_pc say which line is next
 * (0: none), f__x is variable x of function f, f__caller which of its callers f goes back to. The
 * register of a CPU is where the thread is that runs there. What nothing depends on is left out.
 *
 *   spin -a model.pml
 *   gcc -O2 -DSAFETY -DNOREDUCE -o pan pan.c; ./pan -n -m3000000      (add -DBFS for a shortest trail)
 *   spin -t -p model.pml                                              (shows the trail)
 *
 * -DWATCH=n for spin (spin -DWATCH=2 -a ...) looks for the invariants of n alone; the others still end a
 * path. -DCOUNT for spin breaks no assertion: whatever breaks goes to one sink state. The states stored
 * are then those of `vmxsim check`, counted with the CPU of each running thread, plus one before the
 * start, plus the sink where it is reached.
 * A space too large for one process: gcc -DNCORE=2 -DSAFETY -DNOREDUCE -DMEMLIM=8000 (several processes
 * with one shared table), -DCOLLAPSE or -DMA=100 (less memory, slower), -DBITSTATE and pan -w32 (the
 * states' hash only: part of the space, with no claim to be all of it), or `swarm` (many such searches,
 * each different). Without -DNOREDUCE Spin looks for independent steps; there are none here.
 */
"""

MACROS = """\
#define T thread[_pid]

#define no_stack() (T.pc == 0 && T.scheduler_pc == 0)
#define in_scheduler() (T.scheduler_pc >= {first} && T.scheduler_pc <= {last})
#define preemptible() (!T.irqs_disabled && T.preempt_count == 0 && !in_scheduler())
#define at_end() (T.pc >= ENDS || T.scheduler_pc >= ENDS)
#define passes_through() ({passes})

#define number_of(v) ({number_of})
#define wrong(found, right) (number_of(found) != number_of(right))

inline fails_if(condition) {{
  if
  :: (condition) -> bad = bad | CONTRACT; running = 0
  :: else -> skip
  fi
}}

inline guest_finds(found, right) {{
  if
  :: wrong(found, right) -> bad = bad | GUEST_VALUE |
     ((found) == HOST || (found) == PLAIN -> NO_LEAK : 0)
  :: else -> skip
  fi
}}

inline user_space() {{
  T.mode = USER;
  if
  :: wrong(T.kernel_gs_base, {user}) -> bad = bad | HOST_VALUE |
     (T.kernel_gs_base <= GUEST_BASE -> NO_LEAK : 0)
  :: else -> skip
  fi
}}

inline guest_runs() {{
  if
  :: passes_through() -> guest_finds(T.kernel_gs_base, T.true_guest_value)
  :: else -> skip
  fi
}}

inline host_wrmsr(written) {{
  if
  :: NON_CANONICAL(written) -> bad = bad | NO_HOST_FAULT
  :: else -> T.kernel_gs_base = written
  fi
}}

inline guest_wrmsr(written) {{
  if
  :: NON_CANONICAL(written) -> skip
  :: else -> T.kernel_gs_base = written; T.true_guest_value = written
  fi;
  guest_finds(T.kernel_gs_base, T.true_guest_value)
}}

inline guest_swapgs() {{
  guest_finds(T.kernel_gs_base, T.true_guest_value);
  result = T.kernel_gs_base; T.kernel_gs_base = T.gs_base; T.gs_base = result;
  result = T.true_guest_value; T.true_guest_value = T.true_gs_base; T.true_gs_base = result;
  guest_runs()
}}

inline disable_preemption() {{
  if
  :: T.preempt_count == DEEPEST -> bad = bad | NOT_MODELLED; running = 0
  :: else -> T.preempt_count++
  fi
}}

inline enable_preemption() {{
  if
  :: T.preempt_count == 0 -> bad = bad | CONTRACT; running = 0
  :: else -> T.preempt_count--
  fi
}}

inline vm_exit(reason) {{
  T.mode = KERNEL;
  T.exit_reason = reason
}}

/* a guest that enters long mode: CR0.PG off, EFER.LME on, CR0.PG on, as far as needed */
inline next_of_script() {{
  if
  :: T.script == PG_OFF -> T.script = LME_ON; vm_exit(CR_ACCESS)
  :: T.script == LME_ON && !(T.efer & {lme}) -> T.script = PG_ON; vm_exit(MSR_WRITE_OF_EFER)
  :: else -> T.script = NOTHING; vm_exit(CR_ACCESS)
  fi
}}

/* the interrupt's function on top of whatever runs */
inline schedule() {{
  if
  :: T.scheduler_pc != 0 -> bad = bad | NOT_MODELLED; running = 0
  :: else -> skip
  fi;
  T.mode = KERNEL;
  {schedule}
}}

inline tick() {{
  T.need_resched = 1;
  if
  :: T.mode == GUEST -> vm_exit(EXTERNAL_INTERRUPT)
  :: else -> schedule()
  fi
}}

inline switch_out() {{
  T.need_resched = 0;
  T.waiting = 1;
  T.kernel_gs_base = RESET;{leave_cpu}
  running = 0
}}

/* __switch_to() */
inline switch_in() {{
  T.waiting = 0;
  T.kernel_gs_base = {user};
  if
  :: no_stack() -> T.preempt_count = 0; user_space(); running = 0
  :: else -> T.preempt_count = 1
  fi
}}

/* where a line has led: on, into the scheduler, or to the end of the section */
inline after_line() {{
  if
  :: !running -> skip
  :: running && no_stack() && !(T.need_resched && preemptible()) -> user_space(); running = 0
  :: running && !no_stack() && T.mode == GUEST ->
     if
     :: T.need_resched -> vm_exit(EXTERNAL_INTERRUPT)
     :: !T.need_resched && T.script != NOTHING -> next_of_script()
     :: else -> running = 0
     fi
  :: else ->
     if
     :: !preemptible() -> skip
     :: preemptible() && T.need_resched -> schedule()
     :: else -> running = 0
     fi
  fi
}}

/* at rest nothing is left of the action: what only it needed is as at the start */
inline rest() {{
  if
  :: T.mode == KERNEL -> skip
  :: else ->
     {rest}
  fi
}}

inline end_of_section() {{
  {uncounted}assert(!(bad & NOT_MODELLED));
#ifndef COUNT
  assert(!(bad & WATCH));
#endif
  if
  :: bad -> sink()
  :: else -> rest()
  fi;
  choice = 0; bad = 0; lines = 0; pending = 0; running = 0; result = 0{counts}
}}
"""

#: Before a violation counts: what would break something is assumed not to happen.
EARLY = """\
if
  :: bad && !counts -> sink(); bad = bad & NOT_MODELLED
  :: else -> skip
  fi;
  """
