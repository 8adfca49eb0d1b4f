def pytest_addoption(parser):
    parser.addoption("--regenerate", action="store_true",
                     help="write what the program prints now as the expected output; review the difference")
