"""Addresses of pages."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.contrib.staticfiles.views import serve
from django.urls import path

from examples.django_alarms.alarms import views

urlpatterns = [
    path("", views.page, name="page"),
    path("login/", LoginView.as_view(template_name="alarms/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("token/", views.token, name="token"),
    path("admin/", admin.site.urls),
    # A demonstration serves its own files, also below a mount; a site leaves that to its proxy.
    path("static/<path:path>", serve),
]
