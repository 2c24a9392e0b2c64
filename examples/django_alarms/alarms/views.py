"""The page, and a token for programs."""

from __future__ import annotations

import time

import jwt
from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from examples.django_alarms.project.auth import ALGORITHM

__all__ = ("page", "token")

TOKEN_S = 900


@require_GET
@login_required
def page(request: HttpRequest) -> HttpResponse:
    return render(request, "alarms/page.html")


@csrf_exempt
@require_POST
def token(request: HttpRequest) -> HttpResponse:
    """Return a JWT for a name and a password, for clients that keep no cookies."""
    user = authenticate(request, username=request.POST.get("username"), password=request.POST.get("password"))
    if user is None:
        return JsonResponse({"error": "name or password is wrong"}, status=401)
    claims = {"sub": str(user.pk), "exp": time.time() + TOKEN_S}
    return JsonResponse({"token": jwt.encode(claims, settings.JWT_KEY, ALGORITHM)})
