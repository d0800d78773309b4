"""From a handful of demonstrations to a skill on an arm: the map of this package.

A camera frame becomes an observation, an observation becomes an action, an action passes a guard
and moves an arm; what really happened becomes a transition, transitions become gradients, gradients
become the next policy. The files, in the order a frame meets them:

The hallway, the words that all rooms share
    contract                 Frame, ArmState, Command, Observation, Transition, Spec
    config                   YAML to frozen settings; refuses what it does not know

The workshop: metres, radians, seconds, frames; no torch, no ROS
    rig.settings             what can be set about the rig
    rig.clock                the wall's time, and a beat that counts what it missed
    rig.camera               the door every camera comes through: latest(max_age) -> Frame
    rig.camera_settings      what can be set about a camera: device, picture, patience, mount
    rig.calibration          what a lens does to a picture, and to a part of it
    rig.mount                where a camera is bolted on, in one file with its lens
    rig.board                a board that a camera measures itself with: drawn, found
    rig.lens                 intrinsics from pictures of it, or why they say too little
    rig.hand_eye             where a camera is on the hand or beside the arm: AX = XB
    rig.source               what a device is: it delivers, gets lost and is opened again
    rig.device_clock         a camera's own clock read on the cell's
    rig.frozen               the camera that answers but sees no more
    rig.streaming            any source as a camera: newest frame, stale, frozen, reconnecting
    rig.realsense_frames     librealsense's framesets to pictures
    rig.realsense            a RealSense that is connected
    rig.recording            a recorded RealSense
    rig.webcam               a webcam, or a video file
    rig.cameras              settings to camera
    rig.arm                  the door every arm comes through: state, send, stop
    rig.arm_settings         when an arm obeys, and how patient its gripper is
    rig.obey                 follow the guard this beat, or stand still and say why
    rig.approach             towards a goal: a ramp, a leash, a velocity
    rig.grip                 many wishes for an opening, few goals for a slow gripper
    rig.chain                the joints of a URDF: forward, Jacobian, inverse
    rig.geometry             X_AB: compose, invert, exponential, logarithm
    rig.observe              Frames and ArmState -> Observation: age, crop, resize, stack, scale
    rig.action               [-1, 1] -> Command, and exactly back
    rig.guard                Command -> Verdict: finite, fresh, slow enough, inside the walls
    rig.target               where the guard has told the arm to be, and how soon it may go on
    rig.watch                what the guard listens for, how long it waits, who may speak
    rig.ruling               what the guard says: of an action, to the arm, about itself
    rig.supervisor           the guard as a process: authority, watchdogs, hold, stop, resume
    rig.digest               what weights, settings and code are, as one number
    rig.thresholds           what a policy must show in the twin before the arm: measured, demanded
    rig.certificate          what the twin has seen it do, as a file that cannot be edited unnoticed
    rig.gatekeeper           who may act by it, and why not
    rig.lineage              which certified weights learning began with, over a restart
    rig.gated                the supervisor that asks first
    rig.loop                 one tick of all of the above, alike in the twin and on the arm
    rig.beat                 a beat that waits for pictures, so that none is acted on late
    rig.cell                 a cell of parts as an environment: reset, step, success, fault
    rig.episode              reset, running, succeeded, timed out, faulted: as a table
    rig.places               where things truly are, as an episode's log says it
    rig.reward               who claims success: one door, and how long a claim must stand
    rig.reward_settings      which source, and what each of them needs
    rig.reward_geometric     tool, opening and tags within their bounds
    rig.reward_tags          AprilTags through a calibrated camera
    rig.tag_edges            their corners, to a tenth of a pixel
    rig.reward_labels        which frames of an episode show success
    rig.reward_truth         how often a source was wrong, where somebody knows
    rig.reward_env           episodes that end by a source's word; the truth is only noted
    rig.episodes             what happened, appended to a log that survives kill -9
    rig.records              the bytes of that log
    rig.picture_codec        its pictures: raw, or as PNG
    rig.software             and by which software they were recorded
    rig.edits                what people have said about an episode since
    rig.operator             keys and buttons to what a person wants; one line of status
    rig.terminal             a person's terminal: single keys in, one line that is rewritten
    rig.teleop.device        the door every hand comes through: a wish, and the deadman
    rig.teleop.settings      which key, axis and button means what
    rig.teleop.keynames      a terminal's characters as names of keys
    rig.teleop.keyboard      held keys to a wish; a terminal's keyboard
    rig.teleop.pad           axes and buttons to a wish
    rig.teleop.device_file   a device file that is read without waiting, lost, and found again
    rig.teleop.gamepad       the kernel's joystick file
    rig.teleop.spacemouse    a SpaceMouse's reports
    rig.teleop.page_input    what a page says about hands, checked
    rig.teleop.page          cameras and hands in a browser, one at a time, with a token
    rig.teleop.drive         a wish to an action; the grip never jumps
    rig.teleop.make          a device by its name
    rig.playback             and the way back: episodes, in order, whole steps only
    rig.follow               the same while it is being written, step by step
    rig.shelf                any steps of it in a batch, straight from the files

The study: tensors; never a metre, a second or a frame
    learn.settings           every number of the learner
    learn.fit                what does not fit together, said before the first step
    learn.memory             how much memory there is, said before it is taken
    learn.store              every frame once; stacks and successors by index
    learn.gather             pictures out of the store in one pass over memory
    learn.gather_gpu         the same on a GPU, as the first convolution reads them
    learn.gather_triton      the kernel of it, in Triton's language
    learn.shuttle            host arrays to the device without waiting
    learn.device_store       the experience a second time, on the device
    learn.replay             two rings of experience, the arm's own and the demonstrated
    learn.augment            which window of a picture the network sees
    learn.effects            RAD's holes, turns and colours, over a whole batch
    learn.amplitude          a state vector scaled at random
    learn.encoder            uint8 pictures -> features -> latent; the only division by 255
    learn.winograd           3x3 convolution and ReLU with a quarter of the products
    learn.winograd_kernels   its inner loops, in LLVM's own terms
    learn.fused              convolution, bias and ReLU as one kernel of cuDNN or oneDNN
    learn.explore            exploration noise with a memory
    learn.features           what a frozen encoder sees, computed once
    learn.networks           the heads: squashed Gaussian, ensemble of Q
    learn.contrast           InfoNCE between two views, a slow key beside it
    learn.contrast_step      by which gradient it moves the eye
    learn.predict            what an action brings: next latent and reward, in the gradient
    learn.compute            precision, recorded programs, where the replay is: decided once
    learn.batch              what an update is given, and which of its parts are due
    learn.optimizers         which optimiser steps what
    learn.agent              act, and one update, readable as the paper's box
    learn.acting             one observation in, one action out, without Python in between
    learn.pretrain           contrast and cloning before the first motion
    learn.sampling           batches as the host draws them
    learn.feed               the same for a program: little is sent, the device assembles
    learn.program            an update recorded once and replayed, without Python in between
    learn.gallery            pictures that only the contrast looks at
    learn.learner            takes what happened, keeps updates per step exact, hands out actions
    learn.persist            a learner to a checkpoint and back
    learn.handout            the weights, from a learner to an actor in another process
    learn.success_settings   every number of a success classifier
    learn.success_eye        the frozen eye it looks with
    learn.success            its heads, and all it was trained on, in one file
    learn.success_fit        how they are trained
    learn.success_drift      when pictures no longer look like the training ones
    learn.checkpoint         one file of tensors and counters, whole or not at all

How a run is conducted
    cli                      the ``handful`` command
    workflow.group           how that command fails: in one sentence
    workflow.options         options that several commands share, each worded once
    workflow.commands        what each command does between its options and its last line
    workflow.settings        how many demonstrations, how long, when to look
    workflow.recipe          task, seed and settings, resolved and checked
    workflow.parts           settings to twin, demonstrator, learner
    workflow.seeds           who may draw which world, so that no episode is seen twice
    workflow.run_folder      where everything of a run lies
    workflow.collect         demonstrations into the log
    workflow.play            wandering into the log, for the contrast alone
    workflow.teleop          a person drives the twin, and into the log
    workflow.teleop_desk     what they sit at: a device, a view, keys that say things
    workflow.teleop_options  ``handful teleop`` and its options
    workflow.teleop_command  and what it does
    workflow.teleop_oversee  a person beside the learning agent, who may take over
    workflow.teleop_person   a program that plays that person
    workflow.sources         which sessions and episodes serve for what before the first motion
    workflow.pretrain        a learner that has seen them
    workflow.pretrain_options  ``handful pretrain`` and its options
    workflow.pretrain_command  and what it does
    workflow.held_out        frames it has not seen, and what is known about them
    workflow.sight           what the eye can tell of them, and a verdict
    workflow.sight_page      the page about it
    workflow.train           the online loop
    workflow.beside          the same in two processes: this one learns from the other's log
    workflow.robot           and that one acts: episodes over a cell of parts
    workflow.robot_demo      all of it over ROS, with the twin in the robot's place
    workflow.outcomes        one episode of a policy that only acts
    workflow.evaluate        the number that counts, over unseen worlds
    workflow.reward_command  ``handful reward``: its words
    workflow.reward_actions  and what each of its commands does
    workflow.reward_data     recorded sessions as labelled frames
    workflow.reward_train    a success classifier trained, measured, mended by its mistakes
    workflow.reward_metrics  right and wrong, a frame and a held episode at a time; the threshold
    workflow.reward_page     the page about it
    workflow.reward_sources  settings to a source of reward; how often it was wrong
    workflow.validate        a policy in the twin at several severities, and a certificate of it
    workflow.validate_settings  which severities, which curves, which demands
    workflow.validate_watch  independent eyes: commands, speed, force
    workflow.validate_page   the page about a certificate
    workflow.validate_options  the command
    workflow.demo            the whole story in one go
    workflow.calibrate       a camera's lens and place from a folder of pictures
    workflow.calibrate_capture  such folders: pictures, and the arm's joints beside them
    workflow.calibrate_cell  the twin with a board in it, in the cell's place
    workflow.calibrate_commands  the words of calibrate, replay and identify
    workflow.calibrate_run   what calibrate does
    workflow.latency         steps and a path, as sent, as felt and as seen
    workflow.latency_options  ``handful calibrate latency`` and its options
    workflow.latency_run     and what it does
    workflow.latency_ros     the same on the running graph, within the cell's limits
    workflow.latency_fit     how late arm and pictures are, from that
    workflow.latency_cell    the live twin in virtual time, with delays only it knows
    workflow.replay_in_twin  an episode's commands played in the twin, and the gap
    workflow.replay_in_twin_page  the page about it
    workflow.replay_in_twin_run  what replay and identify do
    workflow.similarity      how alike pictures are, light apart
    workflow.identify        delay, gains and fingers fitted to recorded episodes
    workflow.identify_friction  the table's friction, fitted to where a thing slid
    workflow.identify_path   an episode as commands and measurements over time
    workflow.twin_overrides  the twin's settings with measured values in them
    workflow.bench           the door to ``benchmarks/``
    workflow.dmc_options     options of ``handful bench dmc``
    workflow.dmc_command     one run, several seeds side by side, or the table
    workflow.dmc_physics     the papers' MuJoCo in today's: what a capsule weighs
    workflow.dmc_plan        task, method and protocol, resolved and checked
    workflow.dmc_simulators  dm_control and Gymnasium behind one small door
    workflow.dmc_env         action repeat, summed reward, stacked frames
    workflow.dmc_train       one run: act, remember, update, be looked at; goes on where it was
    workflow.dmc_results     its evaluations as CSV
    workflow.dmc_plots       its curves as SVG: a name, a task, all tasks of a group
    workflow.dmc_published   published returns beside ours, and when they agree
    workflow.results         numbers with their uncertainty and their machine
    workflow.curves          the learning curve, as JSON lines and for TensorBoard
    workflow.probe           what the encoder separates
    workflow.film            moving pictures
    workflow.charts          small charts as SVG
    workflow.report          one self-contained page
    workflow.report_page     the page about one run
    workflow.report_sight    its section on what the encoder separates
    workflow.report_frame    document, sections and titled charts of every page
    workflow.report_compare  the page about several
    workflow.report_style    how it looks
    workflow.data.command    ``handful data``: its words
    workflow.data.actions    what each of its commands does
    workflow.data.about      what a session says about itself
    workflow.data.sessions   which sessions and episodes are meant; a line about each
    workflow.data.check      every record looked at
    workflow.data.repair     a damaged episode made whole, every whole step kept
    workflow.data.arrange    relabelled, cut, merged, split; no recording is changed
    workflow.data.exchange   out to other people's formats and in from them
    workflow.data.columns    an episode as columns, and back without losing a bit
    workflow.data.lerobot_out    as a LeRobotDataset v3
    workflow.data.lerobot_stats  its statistics
    workflow.data.lerobot_in     and from one
    workflow.data.video      pictures as video
    workflow.data.robomimic  as a robomimic HDF5 file and from one
    workflow.data.show       one episode as a page
    workflow.data.show_page  what makes that page move
    workflow.console         where words for people go
    workflow.progress        the progress bar
    workflow.interrupt       Ctrl-C at a good moment
    workflow.process         allocator and threads of this process
    workflow.errors          which errors are sentences and which are bugs

The wire: the doors to ROS, and the only room that knows it
    wire.stamps              seconds to ROS times and back
    wire.pictures            pictures and calibrations to messages and back
    wire.messages            the contract's words to messages and back
    wire.clock               ROS time, which may be simulated and may go back
    wire.parameters          settings of a node, from a file or the parameter server
    wire.operator            a person's say: keys, gamepad, the guard's services
    wire.teleop              a person's hands: any device or topic to teleop/action
    wire.twin                the twin behind the topics of cameras and arm
    wire.twin_script         its scripted demonstrator, who acts as a person would
    wire.twin_description    its arm, whichever it is, as TF and RViz want it
    wire.twin_mounts         where its cameras are bolted on, as /tf_static
    wire.twin_shadow         the twin beside the arm: where it should be, and how far off it is
    wire.markers             what RViz shows of the guard: box, target, verdict
    wire.watch               whether the ROS master is still there, and still the same
    wire.node                what every node does alike: start, report, watch, end in words
    wire.camera_server       one camera as topics, named as realsense2_camera's are
    wire.topic_camera        a camera that is a topic
    wire.gate                an action out, the guard's verdict back
    wire.senses              the newest arm state, and when pictures come in
    wire.lenses              camera_info and /tf_static to what a session says about its cameras
    wire.reading             the arm's state for a command that only reads
    wire.script_hand         a program's goals through the guard, one step each
    wire.latency             a planned motion by it, and all that was heard meanwhile
    wire.scene               who puts an episode's scene up, and who says how it ended
    wire.places              where the twin's things truly are, for the log of who records
    wire.papers              what the cell is, and the guard's ear for what agents show it
    wire.agent_papers        which weights the agent acts with, and by what certificate
    wire.agent_reward        who tells it that the goal is met while it learns
    wire.agent_settings      what can be set about the agent's node
    wire.agent_voice         what the agent says about itself
    wire.agent               the agent's process: evaluate, learn, collect
    wire.listen              what the agent saw, put together again from topics or a bag
    wire.bag                 the same from recorded bags, as `handful data import` does
    wire.learner             the learner's process, and how it stands
    wire.guard               actions in, verdicts and commands out; watchdogs on a steady clock
    wire.arm                 guard/command in, one real arm, arm/state out
    wire.arms.settings       which controller, which gripper, where the state comes from
    wire.arms.build          these settings to the parts that drive one arm
    wire.arms.door           what an adapter must offer: source, motion, gripper, watch
    wire.arms.foreign        other people's message packages, when they are needed
    wire.arms.sources        joints, Franka state or TF to where the flange is
    wire.arms.motions        equilibrium poses and velocities
    wire.arms.trajectory     joint goals, by topic and by action
    wire.arms.grippers       franka_gripper, GripperCommand, Robotiq
    wire.arms.watches        what a robot complains of besides

The twin (``handful_twin``, under ``sim/``) stands behind the doors of the rig; its map is there.
"""

from pathlib import Path
from pkgutil import extend_path

# catkin generates handful.msg and handful.srv into a folder of its own, one package with this one:
# in the workspace that was sourced, or in the one that scripts/setup.sh builds in the checkout.
__path__ = extend_path(__path__, __name__)
_built = Path(__file__).parents[2] / ".catkin/devel/lib/python3/dist-packages/handful"
if _built.is_dir() and str(_built) not in __path__:
    __path__.append(str(_built))

__version__ = "0.1.0"
