"""How the ``handful`` command fails: expected errors as one sentence, a stop with its status."""

import os
from typing import Any

import click

from handful.workflow.errors import sentence


class Sentence(click.ClickException):
    """An expected error: one line, exit status 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"handful: {self.message}", err=True)


class Handful(click.Group):
    """Turns errors into sentences, and asks to stop into exit status 130."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the story, not of the alphabet."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        from handful.workflow.interrupt import Stopped

        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except Stopped as stop:
            run = ctx.obj or "--run DIR"
            click.echo(
                f"\nhandful: stopped; a checkpoint is saved. "
                f"Go on with: handful train --run {run} --resume",
                err=True,
            )
            ctx.exit(stop.code)
        except KeyboardInterrupt:
            click.echo("\nhandful: stopped; what is in the run folder is whole", err=True)
            ctx.exit(130)
        except Exception as error:
            line = sentence(error)
            if line is None or os.environ.get("HANDFUL_DEBUG"):
                raise
            raise Sentence(line) from None
