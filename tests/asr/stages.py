"""What workers do, without them: one stage of one window."""

from services.asr.fallback import best
from services.asr.live import AnySession
from services.asr.scheduler import Stage
from services.asr.session import WindowWork


def advance(session: AnySession, work: WindowWork) -> list[WindowWork]:
    """Do a window's next stage; return what became ready by it."""
    engine = session.engine
    if work.stage is Stage.ENCODE:
        (encoding,) = engine.encode([work.audio], work.attempt.seconds)
        return session.encoded(work, encoding, session.hear_language(work, encoding))
    assert work.prompt is not None
    if work.stage is Stage.ALIGN:
        words = engine.align(work.encoding, work.seconds, work.prompt, best(work.trials).hypothesis)
        return session.aligned(work, words)
    if work.attempt.temperature:
        return session.decoded(work, engine.sample(work.encoding, work.prompt, work.attempt.temperature))
    (hypothesis,) = engine.decode([work.encoding], [work.prompt], work.beam_size)
    return session.decoded(work, hypothesis)
