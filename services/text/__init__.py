"""What every service means by written speech. Pure; no grpc, no aiohttp."""
