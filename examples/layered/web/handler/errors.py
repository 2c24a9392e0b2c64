"""The domain's errors in HTTP's words."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse

from ...domain.errors import (
    DomainError,
    InvalidValue,
    NameTaken,
    NotAMember,
    RoomChanged,
    RoomClosed,
    RoomFull,
    RoomNotFound,
)

__all__ = ("STATUS", "map_errors")

STATUS: Final[dict[type[DomainError], int]] = {
    RoomNotFound: 404,
    NotAMember: 404,
    RoomClosed: 409,
    RoomFull: 409,
    NameTaken: 409,
    RoomChanged: 409,
    InvalidValue: 422,
}


def map_errors(app: FastAPI) -> None:
    """Answer each domain error with its status, its code and its sentence."""

    @app.exception_handler(DomainError)
    async def answer(request: Request, error: DomainError) -> JSONResponse:
        return JSONResponse({"code": error.code, "message": str(error)}, STATUS[type(error)])
